/* daemon/service/chats.h - models that answer conversations: processes `dash-worker chat`
 * (worker/chat.h), started when one is asked for and ended when nobody has asked for a while.
 *
 * At most `processes` models are in memory; one that is idle makes room, the one used longest ago
 * first. A model answers one question at a time, in the order in which they came; at most
 * CHATS_WAITING_MAX wait in all. A process that dies ends the question that it answers, with the
 * end of what it wrote, and the next question starts another. One that says nothing for silence_s
 * while it starts or answers is killed, so that no process that hangs keeps its place.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/rpc.h"
#include <jansson.h>
#include <uv.h>

enum { CHATS_WAITING_MAX = 64 };

struct chats;
struct chat_question;

struct chat_listener {
    /* More of the answer; logprobs is NULL, or a list, borrowed. */
    void (*text)(void *arg, const char *text, const json_t *logprobs);
    /* Its end: finished by "stop" or "length". The question is gone. */
    void (*end)(void *arg, const char *how, int prompt_tokens, int tokens);
    /* It could not be answered, for this reason. The question is gone. */
    void (*fail)(void *arg, enum rpc_status status, const char *text);
};

int chats_open(uv_loop_t *loop, const char *programs, int processes, int silence_s,
               struct chats **ret_chats, struct err *err);
/* Ends all processes, and fails all questions. */
void chats_stop(struct chats *c);  /* NULL-safe */
void chats_close(struct chats *c); /* NULL-safe; the loop runs once more after it */

/* request: what worker/chat.h has, but for its id; taken over. adapter may be NULL. The listener
 * is called later, never from within. */
int chats_ask(struct chats *c, const char *model, const char *adapter, json_t *request,
              const struct chat_listener *listener, void *arg, struct chat_question **ret,
              struct err *err);
/* Nobody waits for the answer any more; the listener is not called again. */
void chats_drop(struct chat_question *q);
