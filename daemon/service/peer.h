/* daemon/service/peer.h - what is known of the other side of a connection before it has said
 * anything. */
#pragma once

enum peer_kind {
    PEER_UNIX, /* the kernel names its user */
    PEER_TCP,  /* plain text, on loopback: anybody of this machine */
    PEER_HTTP, /* the same, where a token is asked for */
    PEER_TLS,
};

struct peer {
    enum peer_kind kind;
    unsigned int uid;     /* PEER_UNIX */
    char address[64];     /* "unix", or "10.1.0.4:50211" */
    char certificate[65]; /* PEER_TLS: the common name in the certificate that it showed and that
                             the operator's CA has signed; "": none */
};
