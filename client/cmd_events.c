/* client/cmd_events.c - dashctl events ID: what has happened to a job. */
#include "client/client.h"
#include "client/json.h"
#include "client/words.h"
#include "proto/phase.h"
#include <stdio.h>

static void print_event(const Dash__V1__Event *e)
{
    char time[32];

    words_time(e->time_ms, time, sizeof(time));
    if (e->kind == DASH__V1__EVENT_KIND__NOTICED)
        printf("%s  note: %s\n", time, e->text);
    else if (e->kind == DASH__V1__EVENT_KIND__PHASE_CHANGED)
        printf("%s  phase %s\n", time, phase_name((int)e->phase));
    else
        printf("%s  %s%s%s\n", time, words_state(e->state), e->text[0] ? ": " : "", e->text);
}

/* A page, and where the next begins. */
static int print_page(struct client *c, const char *id, int64_t *after, bool *ret_more)
{
    Dash__V1__ListEventsRequest request = DASH__V1__LIST_EVENTS_REQUEST__INIT;
    Dash__V1__ListEventsResponse *response = NULL;
    size_t i;
    int status;

    request.id = (char *)id;
    request.after_event = *after;
    status = client_call(c, "ListEvents", &request.base,
                         &dash__v1__list_events_response__descriptor, CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    for (i = 0; i < response->n_events; i++) {
        if (c->json)
            json_print(&response->events[i]->base, false);
        else
            print_event(response->events[i]);
        *after = response->events[i]->id;
    }
    *ret_more = response->more;
    dash__v1__list_events_response__free_unpacked(response, NULL);
    return 0;
}

int cmd_events(struct client *c, int argc, char **argv)
{
    const char *id = client_parse_job(
        c, argc, argv,
        "Lists what has happened to a job, oldest first: its states with their reasons, its phases "
        "and the notes about it. With --output json each event is a line.");
    int64_t after = 0;
    bool more = true;
    int status = 0;

    while (status == 0 && more)
        status = print_page(c, id, &after, &more);
    return status;
}
