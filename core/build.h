/* core/build.h - of which build a program is. All ranks of a job must be of one: numbers and
 * messages depend on it.
 *
 * Made when dash is built (build.cmake), from the sources of core, proto, worker and
 * daemon/coordinator, the compiler and its flags. Two builds of the same sources by the same
 * compiler for the same CPU are one.
 */
#pragma once

extern const char build_identity[17]; /* 16 hex digits */
