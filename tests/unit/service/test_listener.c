/* tests/unit/service/test_listener.c - whose a call is: a connection is found by the number of a
 * descriptor, which the kernel gives again.
 */
#include "daemon/service/listener.h"
#include "tests/unit/support.h"
#include <sys/socket.h>
#include <sys/un.h>

struct world {
    uv_loop_t loop;
    char *folder, *path;
    struct listener *listener;
    int clients[2];
    int accepted; /* the last; -1: none since */
};

static void on_accepted(void *arg, int fd)
{
    struct world *w = arg;

    w->accepted = fd;
}

static int open_listener(void **state)
{
    const struct listener_limits limits = {.connections = 100};
    struct world *w = calloc(1, sizeof(*w));
    char *address = NULL;
    int port;
    struct err err;

    assert_non_null(w);
    w->folder = new_folder();
    w->path = file_join(w->folder, "socket");
    w->clients[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    w->clients[1] = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(asprintf(&address, "unix:%s", w->path) > 0);
    uv_loop_init(&w->loop);
    assert_ok(listener_open(&w->loop, &limits, on_accepted, w, &w->listener, &err), err);
    assert_ok(listener_add(w->listener, address, &port, &err), err);
    listener_start(w->listener);
    free(address);
    *state = w;
    return 0;
}

static int close_listener(void **state)
{
    struct world *w = *state;

    listener_close(w->listener);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    close(w->clients[0]);
    close(w->clients[1]);
    free(w->path);
    remove_folder(w->folder);
    free(w);
    return 0;
}

/* Returns the number by which the client's calls come. */
static int connect_client(struct world *w, int client)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
    w->accepted = -1;
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    while (w->accepted < 0)
        uv_run(&w->loop, UV_RUN_ONCE);
    return w->accepted;
}

static struct connection *call(struct world *w, int fd)
{
    struct connection *c = listener_call_opened(w->listener, fd);

    listener_call_closed(w->listener, c, false);
    return c;
}

/* The first is closed, as gRPC does, and nobody has looked for that when the second gets its
 * number. */
static void a_call_is_of_the_newest_connection_with_its_number_and_of_no_other(void **state)
{
    struct world *w = *state;
    int fd = connect_client(w, w->clients[0]), again;
    struct connection *first = call(w, fd), *second;

    assert_non_null(first);
    close(fd);
    again = connect_client(w, w->clients[1]);
    assert_int_equal(again, fd);
    second = call(w, again);
    assert_non_null(second);
    assert_ptr_not_equal(second, first);
    listener_end(second); /* a call that came before is not yet seen */
    assert_null(call(w, again));
    close(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_call_is_of_the_newest_connection_with_its_number_and_of_no_other, open_listener,
            close_listener),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
