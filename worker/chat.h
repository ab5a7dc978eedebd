/* worker/chat.h - a model that answers conversations for dashd: `dash-worker chat --model PATH`.
 *
 * One JSON object a line, on standard input and output. When the model is loaded:
 *
 *   <- {"ready": true, "positions": 8192}
 *
 * Then one request at a time; the next after the end of the one before:
 *
 *   -> {"id": 7, "messages": [...], "max_tokens": 64, "temperature": 1, "top_p": 1, "seed": 3,
 *       "stop": ["..."], "logprobs": 5}         logprobs: -1 or absent: none; else that many
 * likeliest
 *   <- {"id": 7, "text": "...", "logprobs": [{"token", "logprob", "bytes", "top_logprobs": [...]}]}
 *   <- {"id": 7, "end": "stop" | "length" | "cancelled", "prompt_tokens": 12, "tokens": 30}
 *   <- {"id": 7, "error": "...", "too_long": true}
 *   -> {"cancel": 7}                            at any time; one that has ended is no error
 *
 * The end of its input ends it, also in the middle of an answer: so it does not outlive dashd.
 */
#pragma once

int chat_main(int argc, char **argv);
