/* core/text/jinja/tests.h - what stands behind "is". Within this folder only. */
#pragma once
#include "core/text/jinja/run.h"

/* The row of a test, from 1; 0: there is none. */
int test_find(struct str name);
