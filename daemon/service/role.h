/* daemon/service/role.h - what a caller may do. Each role includes those before it.
 *
 *   read    look at jobs, logs and plans of time
 *   submit  create jobs, and cancel, resume or delete those that it created
 *   admin   the same with everybody's jobs, and every method that is not given to a lower role
 *
 * A job runs as dashd's own user whoever created it, so `submit` includes what a job can read and
 * write as that user.
 */
#pragma once
#include <stdbool.h>

enum role { ROLE_NOBODY = 0, ROLE_READ, ROLE_SUBMIT, ROLE_ADMIN };

const char *role_name(enum role role); /* "read" and so on; "nobody" */
/* False where the text is not the name of a role that can be given. */
bool role_from_name(const char *text, enum role *ret_role);
