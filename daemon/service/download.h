/* daemon/service/download.h - ListFiles, ListCheckpoints and DownloadFile: a job's results.
 *
 * A download has a state in which one thread of libuv's pool reads and hashes the next chunk, and
 * one in which it goes out; so a slow disk or a slow client delays nobody else, and a download
 * costs one chunk of memory. A client that goes away while a chunk is read is let go when it has
 * been.
 */
#pragma once
#include "daemon/service/rpc.h"

/* on_message, on_writable and on_gone; their service is the struct runs. */
void download_on_list(struct rpc_call *call, const ProtobufCMessage *message);
void download_on_checkpoints(struct rpc_call *call, const ProtobufCMessage *message);
void download_on_list_gone(struct rpc_call *call); /* of both */
void download_on_download(struct rpc_call *call, const ProtobufCMessage *message);
void download_on_writable(struct rpc_call *call);
void download_on_gone(struct rpc_call *call);
