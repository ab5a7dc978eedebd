/* daemon/coordinator/tensorboard.c - see tensorboard.h. */
#include "daemon/coordinator/tensorboard.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/file.h"
#include "daemon/coordinator/outputs.h"
#include "proto/varint.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 12, TRAILER = 4 };

/* ---- records ---- */

static uint32_t crc32c(const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    uint32_t crc = 0xffffffffu;
    int bit;

    for (; len; len--) {
        crc ^= *p++;
        for (bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    }
    return ~crc;
}

static uint32_t checksum(const void *bytes, size_t len)
{
    uint32_t crc = crc32c(bytes, len);

    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_record(struct buf *out, const struct buf *event)
{
    uint64_t len = event->len;
    uint32_t of_len = checksum(&len, sizeof(len)), of_event = checksum(event->data, event->len);

    buf_append(out, &len, sizeof(len));
    buf_append(out, &of_len, sizeof(of_len));
    buf_append(out, event->data, event->len);
    buf_append(out, &of_event, sizeof(of_event));
}

/* The bytes of the record at the beginning of the text; 0: it is not whole, or damaged. */
static size_t record_len(const char *text, size_t len)
{
    uint64_t n;
    uint32_t sum;

    if (len < HEADER + TRAILER)
        return 0;
    memcpy(&n, text, sizeof(n));
    memcpy(&sum, text + 8, sizeof(sum));
    if (sum != checksum(text, 8) || n > len - HEADER - TRAILER)
        return 0;
    memcpy(&sum, text + HEADER + n, sizeof(sum));
    return sum == checksum(text + HEADER, (size_t)n) ? HEADER + (size_t)n + TRAILER : 0;
}

/* ---- events ---- */

static void put_bytes(struct buf *b, int field, const void *bytes, size_t len)
{
    varint_put(b, (uint64_t)field << 3 | 2);
    varint_put(b, len);
    buf_append(b, bytes, len);
}

static void put_time(struct buf *b)
{
    double now = (double)clock_unix_ms() / 1000;

    buf_puts(b, "\x09"); /* field 1, 64 bits */
    buf_append(b, &now, sizeof(now));
}

static void put_value(struct buf *summary, const char *tag, double value)
{
    struct buf v = {0};
    float simple = (float)value;

    put_bytes(&v, 1, tag, strlen(tag));
    buf_puts(&v, "\x15"); /* field 2, 32 bits */
    buf_append(&v, &simple, sizeof(simple));
    put_bytes(summary, 1, v.data, v.len);
    summary->failed |= v.failed;
    buf_free(&v);
}

static void put_summary(struct buf *event, const struct step_row *row)
{
    struct buf s = {0};

    put_value(&s, "train/loss", row->loss);
    put_value(&s, "train/grad_norm", row->grad_norm);
    put_value(&s, "train/learning_rate", row->learning_rate);
    if (row->seconds > 0)
        put_value(&s, "train/tokens_per_second", (double)row->tokens / row->seconds);
    if (row->eval_loss > 0)
        put_value(&s, "eval/loss", row->eval_loss);
    put_bytes(event, 5, s.data, s.len);
    event->failed |= s.failed;
    buf_free(&s);
}

/* The step of an event as it is written here: behind the time; 0: it has none. */
static int step_of(const char *event, size_t len)
{
    uint64_t step = 0;
    size_t at = 10;
    int shift = 0;

    if (len < 11 || event[9] != 0x10)
        return 0;
    do {
        step |= (uint64_t)(event[at] & 0x7f) << shift;
        shift += 7;
    } while (event[at++] & 0x80 && at < len && shift < 35);
    return (int)step;
}

static int append(const struct tensorboard *t, const struct buf *event, struct err *err)
{
    struct buf record = {0};
    int rc;

    put_record(&record, event);
    rc = event->failed || record.failed ? err_nomem(err, record.cap)
                                        : row_append(t->fd, t->path, &record, err);
    buf_free(&record);
    return rc;
}

static int add_version(const struct tensorboard *t, struct err *err)
{
    static const char version[] = "brain.Event:2";
    struct buf event = {0};
    int rc;

    put_time(&event);
    put_bytes(&event, 3, version, sizeof(version) - 1);
    rc = append(t, &event, err);
    buf_free(&event);
    return rc;
}

int tensorboard_add(struct tensorboard *t, const struct step_row *row, struct err *err)
{
    struct buf event = {0};
    int rc;

    if (t->fd < 0)
        return 0;
    put_time(&event);
    buf_puts(&event, "\x10"); /* field 2, varint */
    varint_put(&event, (uint64_t)row->step);
    put_summary(&event, row);
    rc = append(t, &event, err);
    buf_free(&event);
    return rc;
}

/* ---- the file ---- */

static size_t keep_records(const char *text, size_t len, int step)
{
    size_t at = 0, n;

    while ((n = record_len(text + at, len - at)) > 0 &&
           step_of(text + at + HEADER, n - HEADER - TRAILER) <= step)
        at += n;
    return at;
}

static int cut(const struct tensorboard *t, int step, struct err *err)
{
    size_t kept = 0;
    int rc = rows_cut(t->fd, t->path, keep_records, step, &kept, err);

    return rc == 0 && kept == 0 ? add_version(t, err) : rc;
}

int tensorboard_open(const char *output, int step, struct tensorboard *ret, struct err *err)
{
    char *folder = file_join(output, "tensorboard");
    struct tensorboard t = {.fd = -1};
    int rc = folder ? file_make_folders(folder, err) : err_nomem(err, strlen(output));

    if (rc == 0) {
        t.path = file_join(folder, "events.out.tfevents.dash");
        rc = t.path ? file_open_append(t.path, 0666, &t.fd, err) : err_nomem(err, strlen(output));
    }
    if (rc == 0)
        rc = cut(&t, step, err);
    free(folder);
    if (rc < 0) {
        tensorboard_close(&t);
        return rc;
    }
    *ret = t;
    return 0;
}

void tensorboard_close(struct tensorboard *t)
{
    if (t->path && t->fd >= 0)
        close(t->fd);
    free(t->path);
    *t = (struct tensorboard){.fd = -1};
}
