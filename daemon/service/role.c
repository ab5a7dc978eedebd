/* daemon/service/role.c - the names of the roles. */
#include "daemon/service/role.h"
#include <string.h>

static const char *const names[] = {[ROLE_NOBODY] = "nobody",
                                    [ROLE_READ] = "read",
                                    [ROLE_SUBMIT] = "submit",
                                    [ROLE_ADMIN] = "admin"};

const char *role_name(enum role role)
{
    return names[role];
}

bool role_from_name(const char *text, enum role *ret_role)
{
    int i;

    for (i = ROLE_READ; i <= ROLE_ADMIN; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_role = (enum role)i;
            return true;
        }
    return false;
}
