/*
 * WebSockets (RFC 6455), the server's side: for consoles in a browser.
 *
 * Three layers: the handshake over an HTTP request, a decoder that is fed bytes and never
 * blocks, and a pump between a WebSocket and a plain stream socket (a guest's display or serial
 * port), which is what the console proxies run on the thread that http_upgrade() gives them.
 */
#ifndef YUNDUO_HTTP_WEBSOCKET_H
#define YUNDUO_HTTP_WEBSOCKET_H

#include "http/http.h"

/* ---- handshake ---- */

#define WEBSOCKET_ACCEPT_SIZE 29
/* The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key. Returns 'out'. */
char *websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_SIZE]);

/* In handle(): answers 101 and runs 'run' as http_upgrade() does. The subprotocol "binary" is
 * chosen when the client offers it. FAULT (nothing is answered, 'run' is not called): not a
 * WebSocket request (400), or of another version (426, and the header that says which is set). */
int websocket_upgrade(struct http_request *rq,
                      void (*run)(int fd, const void *extra, size_t extra_size, void *arg), void *arg,
                      struct fault *fault);

/* ---- frames ---- */

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum websocket_code {
    WEBSOCKET_NORMAL = 1000,
    WEBSOCKET_GOING_AWAY = 1001,
    WEBSOCKET_PROTOCOL_ERROR = 1002,
    WEBSOCKET_TOO_BIG = 1009,
    WEBSOCKET_BROKEN = 1011,
};

/* The decoder. Zeroed with a limit is ready. */
struct websocket {
    uint64_t frame_max;             /* largest frame; 0: 16 MiB */
    /* inside */
    unsigned char head[14];
    unsigned n_head;
    unsigned char control[125];
    unsigned n_control;
    uint64_t left, at;              /* of the frame's payload; position in it, for the mask */
    unsigned char mask[4];
    int opcode;                     /* of the frame under way */
    bool in_frame, in_message, final;
    bool ended;                     /* a close came or the peer broke the rules */
    bool ponged;                    /* set with each pong; for the caller to clear */
    int close_code;                 /* that the peer gave; 1005 for none */
};

/* Takes in bytes from the client: the payload of data frames (text and binary alike, for what
 * is behind is a stream of bytes) is added to 'data', what must be answered (pongs, the close)
 * to 'out'. 0: go on. 1: the client has closed. -EPROTO, -EMSGSIZE: it broke the rules; a
 * close that says so is in 'out'. -ENOMEM: a buffer is at its maximum. After anything but 0 the
 * rest is ignored. */
int websocket_feed(struct websocket *ws, const void *in, size_t n, struct buf *data, struct buf *out);
/* Adds a frame to the client (unmasked, final). */
void websocket_frame(struct buf *out, enum websocket_opcode opcode, const void *data, size_t n);
void websocket_close_frame(struct buf *out, enum websocket_code code);

/* ---- the pump ---- */

struct websocket_pump {
    usec_t ping_every;              /* silence after which the client is asked; 0: 30 s. Two in vain end it. */
    uint64_t to_stream, to_client;  /* out: payload bytes */
};
/* Carries bytes between the WebSocket 'ws_fd' ('extra' came already) and the stream socket
 * 'stream_fd' until either ends; closes neither. Memory is bounded: a side is read when the
 * other has taken what was read before. 0 after an orderly end of either, negative errno else. */
int websocket_pump(int ws_fd, const void *extra, size_t extra_size, int stream_fd, struct websocket_pump *p);

#endif
