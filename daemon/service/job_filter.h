/* daemon/service/job_filter.h - which jobs a ListJobsRequest asks for. */
#pragma once
#include "daemon/service/labels.h"
#include "daemon/service/store.h"
#include "proto/dash.pb-c.h"

struct job_filter {
    unsigned int states; /* a bit each */
    const char *name;    /* "": any */
    struct label labels[LABELS_MAX];
    size_t n_labels;
    long before; /* ids from this one on were on earlier pages */
    size_t most; /* jobs of a page */
};

/* *f borrows from the message. ERR_INVALID names the field that is wrong. */
int job_filter_read(const Dash__V1__ListJobsRequest *m, struct job_filter *f, struct err *err);
bool job_filter_passes(const struct job_filter *f, const struct run_row *row);
