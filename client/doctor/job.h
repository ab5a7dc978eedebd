/* client/doctor/job.h - the text of job.sh, made part of the program by the build. */
#pragma once
#include <stddef.h>

extern const unsigned char doctor_job[];
extern const size_t doctor_job_len;
