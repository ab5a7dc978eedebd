/* client/doctor/rates.h - how fast the nodes multiply matrices. */
#pragma once
#include "client/doctor/findings.h"
#include "client/doctor/probed.h"

void check_rates(struct findings *f, const struct probed *p);
