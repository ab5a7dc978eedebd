/* daemon/coordinator/tensorboard.h - the rows of metrics.jsonl for TensorBoard, in
 * <output>/tensorboard/events.out.tfevents.dash (tracking.tensorboard).
 *
 * The file is a list of records (TFRecord): length (u64), its checksum, bytes, their checksum; a
 * checksum is CRC-32C, rotated right by 15 bits, plus 0xa282ead8. The bytes are a message
 * tensorflow.Event: 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary, whose
 * values (1) have a tag (1) and a simple_value (2, float).
 */
#pragma once
#include "core/err.h"
#include "proto/step_row.h"

struct tensorboard {
    int fd; /* -1: nothing is written */
    char *path;
};

/* Of a job that continues after `step`: records past it, and what is damaged, are cut off. */
int tensorboard_open(const char *output, int step, struct tensorboard *ret, struct err *err);
int tensorboard_add(struct tensorboard *t, const struct step_row *row, struct err *err);
void tensorboard_close(struct tensorboard *t);
