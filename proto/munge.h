/* proto/munge.h - credentials of MUNGE: a text of which whoever decodes it knows the user who has
 * made it, as munged attests it on each machine with the same key.
 *
 * A machine accepts a credential once, and for some minutes. Where this program was built without
 * libmunge, both functions return ERR_UNSUPPORTED. Both wait for munged: seconds, at most.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

bool munge_is_built_in(void);
/* socket: of munged, NULL for the usual one. ERR_STATE where munged does not answer. The caller
 * frees *ret_credential. */
int munge_make(const char *socket, const char *text, char **ret_credential, struct err *err);
/* ERR_DENIED where the credential does not hold (it is damaged, old, or was used before), or its
 * text has not less than size bytes; ERR_STATE where munged does not answer. */
int munge_read(const char *socket, const char *credential, char *ret_text, size_t size,
               uid_t *ret_uid, struct err *err);
