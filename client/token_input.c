/* client/token_input.c - see token_input.h. While the terminal does not echo, it sends no signals
 * either: Ctrl-C arrives as a character, so that the echo is always put back. */
#include "client/token_input.h"
#include "core/file.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { TOKEN_BYTES_MAX = 256, CTRL_C = 3 };

static int read_line(int fd, char line[TOKEN_BYTES_MAX + 1], struct err *err)
{
    size_t len = 0;
    ssize_t n;

    while (len < TOKEN_BYTES_MAX && (n = read(fd, line + len, TOKEN_BYTES_MAX - len)) > 0) {
        len += (size_t)n;
        if (memchr(line, CTRL_C, len))
            return err_set(err, ERR_STATE, "interrupted");
        if (memchr(line, '\n', len))
            break;
    }
    line[len] = '\0';
    return 0;
}

static int ask(const char *server, char line[TOKEN_BYTES_MAX + 1], struct err *err)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC), rc;
    struct termios before, silent;

    if (fd < 0)
        return err_set(err, ERR_INVALID,
                       "there is no terminal to ask for the token on: give --token-file FILE, or "
                       "--token-file - to read it from standard input");
    if (tcgetattr(fd, &before) < 0) {
        close(fd);
        return err_errno(err, "the terminal cannot be used");
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
    tcsetattr(fd, TCSAFLUSH, &silent);
    dprintf(fd, "Token for %s: ", server);
    rc = read_line(fd, line, err);
    tcsetattr(fd, TCSAFLUSH, &before);
    dprintf(fd, "\n");
    close(fd);
    return rc;
}

static int read_from(const char *file, char line[TOKEN_BYTES_MAX + 1], struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    int rc;

    if (strcmp(file, "-") == 0)
        return read_line(STDIN_FILENO, line, err);
    rc = file_read(file, TOKEN_BYTES_MAX, &bytes, &len, err);
    if (rc < 0)
        return rc;
    memcpy(line, bytes, len + 1);
    explicit_bzero(bytes, len);
    free(bytes);
    return 0;
}

int token_input(const char *file, const char *server, char **ret_token, struct err *err)
{
    char line[TOKEN_BYTES_MAX + 1] = "", *from;
    int rc = file ? read_from(file, line, err) : ask(server, line, err);
    size_t len;

    if (rc < 0)
        return rc;
    from = line + strspn(line, " \t\r\n");
    len = strcspn(from, " \t\r\n");
    from[len] = '\0';
    if (strncmp(from, "dash_", 5) != 0 || strspn(from + 5, "0123456789abcdef") != len - 5) {
        rc = err_set(err, ERR_INVALID,
                     "that is not a token of dashd, which is dash_ and 64 characters: `dashd token "
                     "add` prints one");
    } else {
        *ret_token = strdup(from);
        rc = *ret_token ? 0 : err_nomem(err, len);
    }
    explicit_bzero(line, sizeof(line));
    return rc;
}
