/* client/progress.c - see progress.h.
 *
 *   arc-easy ███████░░░░░░░ 120/300 dash loss 1.2345 466 tokens/s ETA 3m20s
 *
 * The parts have ranks; the bar takes what the others leave, and parts of the least rank go until
 * the line fits.
 */
#include "client/progress.h"
#include "client/words.h"
#include "proto/phase.h"
#include "core/duration.h"
#include <stdio.h>
#include <string.h>

enum { BAR_LEAST = 8, BAR_MAX = 40, PARTS = 6, NAME_COLUMNS = 24, REASON_COLUMNS = 60 };

struct part {
    char text[160];
    int rank; /* the lowest goes first */
};

static void fill(struct part *p, int rank, const char *text)
{
    snprintf(p->text, sizeof(p->text), "%s", text);
    p->rank = rank;
}

static int total_columns(const struct part *parts)
{
    int columns = 0, i;

    for (i = 0; i < PARTS; i++)
        if (parts[i].text[0])
            columns += words_columns(parts[i].text) + 1;
    return columns ? columns - 1 : 0;
}

static void drop_least(struct part *parts)
{
    int least = -1, i;

    for (i = 0; i < PARTS; i++)
        if (parts[i].text[0] && (least < 0 || parts[i].rank < parts[least].rank))
            least = i;
    if (least >= 0)
        parts[least].text[0] = '\0';
}

static void draw_bar(double share, int columns, bool utf8, char *out, size_t size)
{
    int full = (int)(share * columns), i;
    size_t used = 0;

    if (!utf8)
        used += (size_t)snprintf(out, size, "[");
    for (i = 0; i < columns && used + 4 < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s",
                                 utf8 ? (i < full ? "█" : "░") : (i < full ? "#" : "."));
    if (!utf8)
        snprintf(out + used, size - used, "]");
}

static void fill_phase(const Dash__V1__Job *job, struct part *part)
{
    const Dash__V1__Decomposition *d = job->decomposition;
    char text[100];

    if (d && d->done < d->matrices && job->phase == DASH__V1__PHASE__IDENTIFICATION)
        words_decomposition(d, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "%s", phase_name((int)job->phase));
    fill(part, 3, text);
}

static void fill_parts(const Dash__V1__Job *job, double seconds_since, struct part *parts)
{
    double eta = job->eta_seconds - seconds_since;
    char text[100], time[32];

    snprintf(text, sizeof(text), "%.*s", (int)words_cut(job->name, NAME_COLUMNS), job->name);
    fill(&parts[0], 2, text);
    if (job->state == DASH__V1__JOB_STATE__RUNNING && job->steps_total) {
        snprintf(text, sizeof(text), "%u/%u", job->steps_done, job->steps_total);
        fill(&parts[1], 9, text);
    } else if (job->queue_position) {
        snprintf(text, sizeof(text), "QUEUED (number %u)", job->queue_position);
        fill(&parts[1], 9, text);
    } else {
        fill(&parts[1], 9, words_state(job->state));
    }
    if (job->state == DASH__V1__JOB_STATE__RUNNING) {
        fill_phase(job, &parts[2]);
    } else {
        snprintf(text, sizeof(text), "%.*s", (int)words_cut(job->reason, REASON_COLUMNS),
                 job->reason);
        fill(&parts[2], 8, text);
    }
    if (job->last_step) {
        snprintf(text, sizeof(text), "loss %.4f", job->last_step->loss);
        fill(&parts[3], 8, text);
    }
    if (job->tokens_per_second > 0) {
        snprintf(text, sizeof(text), "%.0f tokens/s", job->tokens_per_second);
        fill(&parts[4], 5, text);
    }
    if (job->eta_seconds > 0) {
        duration_words(eta > 0 ? eta : 0, time, sizeof(time));
        snprintf(text, sizeof(text), "ETA %s", time);
        fill(&parts[5], 7, text);
    }
}

void progress_line(const Dash__V1__Job *job, int columns, bool utf8, double seconds_since,
                   char *out, size_t size)
{
    struct part parts[PARTS] = {0};
    char bar[4 * BAR_MAX + 8] = "";
    int room, brackets = utf8 ? 0 : 2, i;
    size_t used = 0;

    fill_parts(job, seconds_since, parts);
    while (total_columns(parts) > columns)
        drop_least(parts);
    room = columns - total_columns(parts) - 1 - brackets;
    if (job->steps_total && room >= BAR_LEAST)
        draw_bar((double)job->steps_done / job->steps_total, room > BAR_MAX ? BAR_MAX : room, utf8,
                 bar, sizeof(bar));
    out[0] = '\0';
    for (i = 0; i < PARTS && used < size; i++) {
        if (i == 1 && bar[0])
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", bar);
        if (parts[i].text[0] && used < size)
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", parts[i].text);
    }
}
