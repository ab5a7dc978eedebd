/* daemon/service/job_filter.c - see job_filter.h. */
#include "daemon/service/job_filter.h"
#include "daemon/service/message.h"
#include <stdlib.h>
#include <string.h>

enum { STATES_MAX = 64, PAGE_MAX = 1000 };

static int read_states(const Dash__V1__ListJobsRequest *m, unsigned int *ret, struct err *err)
{
    unsigned int wanted = 0;
    size_t i;

    if (m->n_states > STATES_MAX)
        return err_set(err, ERR_INVALID, "states: there are more entries than states");
    for (i = 0; i < m->n_states; i++)
        if ((int)m->states[i] > 0 && (int)m->states[i] < (int)RUN_STATES)
            wanted |= 1u << m->states[i];
    *ret = m->n_states ? wanted : ~0u;
    return 0;
}

static int read_token(const char *token, long *ret_before, struct err *err)
{
    char *end;
    long id = strtol(token, &end, 10);

    if (token[0] && (*end || id < 1))
        return err_set(err, ERR_INVALID,
                       "page_token must be the next_page_token of an answer, or empty");
    *ret_before = token[0] ? id : 0;
    return 0;
}

int job_filter_read(const Dash__V1__ListJobsRequest *m, struct job_filter *f, struct err *err)
{
    int rc = read_states(m, &f->states, err);

    f->name = m->name;
    f->most = m->page_size && m->page_size < PAGE_MAX ? m->page_size : PAGE_MAX;
    f->n_labels = m->n_labels;
    if (rc == 0)
        rc = message_read_labels(m->labels, m->n_labels, f->labels, err);
    return rc < 0 ? rc : read_token(m->page_token, &f->before, err);
}

static bool has_name(const char *name, const char *wanted)
{
    size_t len = strlen(wanted);

    if (!len)
        return true;
    if (wanted[len - 1] == '*')
        return strncmp(name, wanted, len - 1) == 0;
    return strcmp(name, wanted) == 0;
}

bool job_filter_passes(const struct job_filter *f, const struct run_row *row)
{
    size_t i;

    if (!(f->states & 1u << row->state) || (f->before && row->id >= f->before) ||
        !has_name(row->name, f->name))
        return false;
    for (i = 0; i < f->n_labels; i++)
        if (!labels_have(row->labels, &f->labels[i]))
            return false;
    return true;
}
