/* WebSockets: handshake and frames. See the header; the pump is in websocket_pump.c. */
#include "http/websocket.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#define FRAME_MAX_DEFAULT ((uint64_t)16 << 20)

/* ---- handshake ---- */

char *websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_SIZE])
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[128];
    unsigned char digest[20];
    gnutls_datum_t encoded = { 0 };
    int n = snprintf(text, sizeof(text), "%s%s", key, GUID);
    out[0] = 0;
    if (n < 0 || (size_t)n >= sizeof(text) ||
        gnutls_hash_fast(GNUTLS_DIG_SHA1, text, (size_t)n, digest) < 0 ||
        gnutls_base64_encode2(&(gnutls_datum_t){ digest, sizeof(digest) }, &encoded) < 0)
        return out;
    (void)snprintf(out, WEBSOCKET_ACCEPT_SIZE, "%.*s", (int)encoded.size, (const char *)encoded.data);
    gnutls_free(encoded.data);
    return out;
}

/* Whether a list such as "keep-alive, Upgrade" has the word. */
static bool has_word(const char *list, const char *word, bool caseless)
{
    size_t n = strlen(word);
    for (const char *s = list; s && *s;) {
        s += strspn(s, " \t,");
        size_t len = strcspn(s, " \t,");
        if (len == n && (caseless ? strncasecmp(s, word, n) : strncmp(s, word, n)) == 0)
            return true;
        s += len;
    }
    return false;
}

static bool key_valid(const char *key)
{
    gnutls_datum_t raw = { 0 };
    if (!key || strlen(key) != 24 ||
        gnutls_base64_decode2(&(gnutls_datum_t){ (unsigned char *)(uintptr_t)key, 24 }, &raw) < 0)
        return false;
    bool ok = raw.size == 16;
    gnutls_free(raw.data);
    return ok;
}

int websocket_upgrade(struct http_request *rq,
                      void (*run)(int fd, const void *extra, size_t extra_size, void *arg), void *arg,
                      struct fault *fault)
{
    const char *key = http_header(rq, "Sec-WebSocket-Key");
    if (!STREQ(rq->method, "GET") || !has_word(http_header(rq, "Upgrade"), "websocket", true) ||
        !has_word(http_header(rq, "Connection"), "upgrade", true))
        return fault_set(fault, 400, "BadRequest", "This is for WebSockets only.");
    if (!str_eq(http_header(rq, "Sec-WebSocket-Version"), "13")) {
        http_set_header(rq, "Sec-WebSocket-Version", "13");
        return fault_set(fault, 426, "UpgradeRequired", "Only version 13 of WebSocket is spoken here.");
    }
    char accept[WEBSOCKET_ACCEPT_SIZE];
    if (!key_valid(key) || !*websocket_accept(key, accept))
        return fault_set(fault, 400, "BadRequest", "The Sec-WebSocket-Key is malformed.");
    http_set_header(rq, "Sec-WebSocket-Accept", accept);
    if (has_word(http_header(rq, "Sec-WebSocket-Protocol"), "binary", false))
        http_set_header(rq, "Sec-WebSocket-Protocol", "binary");
    http_upgrade(rq, "websocket", run, arg);
    return 0;
}

/* ---- frames ---- */

void websocket_frame(struct buf *out, enum websocket_opcode opcode, const void *data, size_t n)
{
    unsigned char head[10] = { (unsigned char)(0x80 | opcode) };
    size_t size = 2;
    if (n < 126) {
        head[1] = (unsigned char)n;
    } else if (n < 65536) {
        head[1] = 126;
        head[2] = (unsigned char)(n >> 8);
        head[3] = (unsigned char)n;
        size = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)n >> (56 - 8 * i));
        size = 10;
    }
    buf_add(out, head, size);
    buf_add(out, data, n);
}

void websocket_close_frame(struct buf *out, enum websocket_code code)
{
    unsigned char payload[2] = { (unsigned char)((unsigned)code >> 8), (unsigned char)code };
    websocket_frame(out, WEBSOCKET_CLOSE, payload, sizeof(payload));
}

static int broke_rules(struct websocket *ws, struct buf *out, enum websocket_code code)
{
    ws->ended = true;
    websocket_close_frame(out, code);
    return code == WEBSOCKET_TOO_BIG ? -EMSGSIZE : -EPROTO;
}

/* How long the head is, as far as its first two bytes tell. */
static unsigned head_size(const struct websocket *ws)
{
    if (ws->n_head < 2)
        return 2;
    unsigned length = ws->head[1] & 0x7f;
    return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + (ws->head[1] & 0x80 ? 4 : 0);
}

/* The head is complete. */
static int frame_begin(struct websocket *ws, struct buf *out)
{
    const unsigned char *h = ws->head;
    unsigned length = h[1] & 0x7f, at = 2;
    uint64_t n = length;
    if (length >= 126) {
        unsigned bytes = length == 126 ? 2 : 8;
        n = 0;
        for (unsigned i = 0; i < bytes; i++)
            n = n << 8 | h[at++];
        if (n >> 63 || n < (length == 126 ? 126U : 65536U))
            return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);      /* not in its shortest form */
    }
    ws->opcode = h[0] & 0x0f;
    ws->final = h[0] & 0x80;
    bool control = ws->opcode >= 8;
    if (h[0] & 0x70 || !(h[1] & 0x80))
        return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);          /* no extensions; always masked */
    switch (ws->opcode) {
    case WEBSOCKET_CONTINUATION:
        if (!ws->in_message)
            return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);
        break;
    case WEBSOCKET_TEXT:
    case WEBSOCKET_BINARY:
        if (ws->in_message)
            return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);
        break;
    case WEBSOCKET_CLOSE:
    case WEBSOCKET_PING:
    case WEBSOCKET_PONG:
        if (!ws->final || n > sizeof(ws->control))
            return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);
        break;
    default:
        return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);
    }
    if (n > (ws->frame_max ? ws->frame_max : FRAME_MAX_DEFAULT))
        return broke_rules(ws, out, WEBSOCKET_TOO_BIG);
    if (!control)
        ws->in_message = !ws->final;
    memcpy(ws->mask, h + at, sizeof(ws->mask));
    ws->left = n;
    ws->at = 0;
    ws->n_control = 0;
    ws->n_head = 0;
    ws->in_frame = true;
    return 0;
}

static bool close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

/* A control frame is complete. */
static int control_end(struct websocket *ws, struct buf *out)
{
    switch (ws->opcode) {
    case WEBSOCKET_PING:
        websocket_frame(out, WEBSOCKET_PONG, ws->control, ws->n_control);
        return 0;
    case WEBSOCKET_PONG:
        ws->ponged = true;
        return 0;
    default:
        ws->close_code = 1005;
        if (ws->n_control == 1)
            return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);
        if (ws->n_control >= 2) {
            unsigned code = (unsigned)ws->control[0] << 8 | ws->control[1];
            if (!close_code_valid(code))
                return broke_rules(ws, out, WEBSOCKET_PROTOCOL_ERROR);
            ws->close_code = (int)code;
        }
        websocket_frame(out, WEBSOCKET_CLOSE, ws->control, MIN(ws->n_control, 2U));
        ws->ended = true;
        return 1;
    }
}

static void unmask(struct websocket *ws, unsigned char *to, const unsigned char *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] ^ ws->mask[(ws->at + i) & 3];
    ws->at += n;
    ws->left -= n;
}

int websocket_feed(struct websocket *ws, const void *in, size_t n, struct buf *data, struct buf *out)
{
    const unsigned char *s = in;
    if (ws->ended)
        return 1;
    while (n > 0 || (ws->in_frame && ws->left == 0)) {
        if (!ws->in_frame) {
            ws->head[ws->n_head++] = *s++;
            n--;
            if (ws->n_head >= 2 && ws->n_head == head_size(ws)) {
                int r = frame_begin(ws, out);
                if (r != 0)
                    return r;
            }
            continue;
        }
        size_t part = (size_t)MIN((uint64_t)n, ws->left);
        if (ws->opcode >= 8) {
            unmask(ws, ws->control + ws->n_control, s, part);
            ws->n_control += (unsigned)part;
        } else if (part) {
            char *to = buf_reserve(data, part);
            if (!to)
                return -ENOMEM;
            unmask(ws, (unsigned char *)to, s, part);
            to[part] = 0;
            data->len += part;
        }
        s += part;
        n -= part;
        if (ws->left == 0) {
            ws->in_frame = false;
            int r = ws->opcode >= 8 ? control_end(ws, out) : 0;
            if (r != 0)
                return r;
        }
    }
    return buf_error(out) ? -ENOMEM : 0;
}
