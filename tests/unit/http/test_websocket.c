/* WebSockets: handshake, frames by the byte, the pump between two sockets. */
#include "harness.h"

#include "http/websocket.h"

#include <errno.h>
#include <sys/socket.h>

/* ---- frames ---- */

/* A masked frame as a client sends it. */
static void client_frame(struct buf *b, unsigned first, const void *data, size_t n)
{
    static const unsigned char MASK[4] = { 0x37, 0xfa, 0x21, 0x3d };
    buf_addc(b, (char)first);
    if (n < 126) {
        buf_addc(b, (char)(0x80 | n));
    } else if (n < 65536) {
        buf_addc(b, (char)0xfe);
        buf_addc(b, (char)(n >> 8));
        buf_addc(b, (char)n);
    } else {
        buf_addc(b, (char)0xff);
        for (int i = 0; i < 8; i++)
            buf_addc(b, (char)((uint64_t)n >> (56 - 8 * i)));
    }
    buf_add(b, MASK, 4);
    for (size_t i = 0; i < n; i++)
        buf_addc(b, (char)(((const unsigned char *)data)[i] ^ MASK[i & 3]));
}

static void accept_of_the_rfc(void **state)
{
    (void)state;
    char out[WEBSOCKET_ACCEPT_SIZE];
    assert_string_equal(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", out), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void decodes_the_same_however_cut(void **state)
{
    (void)state;
    struct buf in = BUF_MAX(1 << 20), want = BUF_MAX(1 << 20);
    char large[70000], middle[300];
    memset(large, 'L', sizeof(large));
    memset(middle, 'M', sizeof(middle));
    client_frame(&in, 0x82, "hello", 5);
    client_frame(&in, 0x01, "frag", 4);
    client_frame(&in, 0x89, "are you there", 13);
    client_frame(&in, 0x00, "", 0);
    client_frame(&in, 0x80, "ment", 4);
    client_frame(&in, 0x8a, "", 0);
    client_frame(&in, 0x82, middle, sizeof(middle));
    client_frame(&in, 0x82, large, sizeof(large));
    client_frame(&in, 0x88, "\x03\xe8" "bye", 5);
    client_frame(&in, 0x82, "after the end", 13);
    buf_adds(&want, "hellofragment");
    buf_add(&want, middle, sizeof(middle));
    buf_add(&want, large, sizeof(large));
    static const size_t STEPS[] = { 1, 2, 3, 7, 1000, 1 << 20 };
    for (size_t i = 0; i < ARRAY_SIZE(STEPS); i++) {
        struct websocket ws = { 0 };
        struct buf data = BUF_MAX(1 << 20), out = BUF_MAX(1 << 20);
        int r = 0;
        for (size_t at = 0; at < in.len && r == 0; at += STEPS[i])
            r = websocket_feed(&ws, in.data + at, MIN(STEPS[i], in.len - at), &data, &out);
        assert_int_equal(r, 1);
        assert_int_equal(ws.close_code, 1000);
        assert_true(ws.ponged);
        assert_int_equal(data.len, want.len);
        assert_memory_equal(data.data, want.data, want.len);
        assert_int_equal(out.len, 15 + 4);
        assert_memory_equal(out.data, "\x8a\x0d" "are you there" "\x88\x02\x03\xe8", 19);
        assert_int_equal(websocket_feed(&ws, "x", 1, &data, &out), 1);
        buf_done(&data);
        buf_done(&out);
    }
    buf_done(&in);
    buf_done(&want);
}

static void refuses_broken_frames(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int result;
        const char *out;
    } CASES[] = {
#define BROKEN(text, r, code) { text, sizeof(text) - 1, r, code }
        BROKEN("\x82\x01x", -EPROTO, "\x88\x02\x03\xea"),                       /* not masked */
        BROKEN("\xc2\x80....", -EPROTO, "\x88\x02\x03\xea"),                    /* reserved bit */
        BROKEN("\x83\x80....", -EPROTO, "\x88\x02\x03\xea"),                    /* unknown opcode */
        BROKEN("\x8b\x80....", -EPROTO, "\x88\x02\x03\xea"),
        BROKEN("\x80\x80....", -EPROTO, "\x88\x02\x03\xea"),                    /* continues nothing */
        BROKEN("\x02\x80....\x82\x80....", -EPROTO, "\x88\x02\x03\xea"),        /* a message in a message */
        BROKEN("\x09\x80....", -EPROTO, "\x88\x02\x03\xea"),                    /* a ping in fragments */
        BROKEN("\x89\xfe\x00\x7e....", -EPROTO, "\x88\x02\x03\xea"),            /* a ping of 126 */
        BROKEN("\x82\xfe\x00\x7d....", -EPROTO, "\x88\x02\x03\xea"),            /* longer than needed */
        BROKEN("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff....", -EPROTO, "\x88\x02\x03\xea"),
        BROKEN("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00....", -EPROTO, "\x88\x02\x03\xea"),
        BROKEN("\x82\xff\x00\x00\x00\x00\x01\x00\x00\x01....", -EMSGSIZE, "\x88\x02\x03\xf1"),  /* over 16 MiB */
        BROKEN("\x88\x81\0\0\0\0x", -EPROTO, "\x88\x02\x03\xea"),               /* half a code */
        BROKEN("\x88\x82\0\0\0\0\x03\xed", -EPROTO, "\x88\x02\x03\xea"),        /* 1005 is never sent */
        BROKEN("\x88\x82\0\0\0\0\x07\xd0", -EPROTO, "\x88\x02\x03\xea"),        /* 2000 */
        BROKEN("\x88\x80\0\0\0\0", 1, "\x88\x00"),                              /* fine: no code */
    };
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct websocket ws = { 0 };
        struct buf data = BUF_MAX(1000), out = BUF_MAX(1000);
        int r = websocket_feed(&ws, CASES[i].bytes, CASES[i].n, &data, &out);
        if (r != CASES[i].result)
            fail_msg("case %zu: %d", i, r);
        assert_int_equal(out.len, r == 1 ? 2 : 4);
        assert_memory_equal(out.data, CASES[i].out, out.len);
        assert_int_equal(data.len, 0);
        buf_done(&data);
        buf_done(&out);
    }
}

static void makes_frames(void **state)
{
    (void)state;
    struct buf b = BUF_MAX(1 << 20);
    char data[70000] = "";
    websocket_frame(&b, WEBSOCKET_BINARY, "abc", 3);
    assert_memory_equal(b.data, "\x82\x03" "abc", 5);
    buf_clear(&b);
    websocket_frame(&b, WEBSOCKET_BINARY, data, 126);
    assert_memory_equal(b.data, "\x82\x7e\x00\x7e", 4);
    assert_int_equal(b.len, 130);
    buf_clear(&b);
    websocket_frame(&b, WEBSOCKET_BINARY, data, sizeof(data));
    assert_memory_equal(b.data, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10);
    assert_int_equal(b.len, 70010);
    buf_done(&b);
}

/* ---- the pump ---- */

struct pumping {
    int client, ws, stream, guest;      /* the outer ends are the test's */
    const char *extra;
    struct websocket_pump stats;
    int result;
    pthread_t thread;
};

static void *pump_main(void *arg)
{
    struct pumping *p = arg;
    p->result = websocket_pump(p->ws, p->extra, p->extra ? strlen(p->extra) : 0, p->stream, &p->stats);
    (void)shutdown(p->ws, SHUT_RDWR);
    (void)shutdown(p->stream, SHUT_RDWR);
    return NULL;
}

static void pump_start(struct pumping *p, usec_t ping_every)
{
    int a[2], b[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b), 0);
    *p = (struct pumping){ .client = a[0], .ws = a[1], .stream = b[0], .guest = b[1],
                           .stats.ping_every = ping_every };
    struct timeval t = { .tv_sec = 20 };
    (void)setsockopt(p->client, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    (void)setsockopt(p->guest, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    assert_int_equal(pthread_create(&p->thread, NULL, pump_main, p), 0);
}

static void pump_end(struct pumping *p, int result)
{
    pthread_join(p->thread, NULL);
    assert_int_equal(p->result, result);
    (void)close(p->client);
    (void)close(p->ws);
    (void)close(p->stream);
    (void)close(p->guest);
}

static void expect(int fd, const void *bytes, size_t n)
{
    char got[256];
    assert_true(n <= sizeof(got));
    assert_int_equal(recv(fd, got, n, MSG_WAITALL), (ssize_t)n);
    assert_memory_equal(got, bytes, n);
}

static void put(int fd, unsigned first, const void *data, size_t n)
{
    struct buf b = BUF_MAX(1 << 20);
    client_frame(&b, first, data, n);
    assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
    buf_done(&b);
}

static void pumps_until_the_client_closes(void **state)
{
    (void)state;
    struct pumping p;
    pump_start(&p, 0);
    put(p.client, 0x82, "to guest", 8);
    expect(p.guest, "to guest", 8);
    assert_int_equal(write(p.guest, "RFB", 3), 3);
    expect(p.client, "\x82\x03RFB", 5);
    put(p.client, 0x89, "?", 1);
    expect(p.client, "\x8a\x01?", 3);
    put(p.client, 0x82, "last", 4);
    put(p.client, 0x88, "\x03\xe9", 2);
    expect(p.guest, "last", 4);
    expect(p.client, "\x88\x02\x03\xe9", 4);
    assert_true(at_end(p.client));
    assert_true(at_end(p.guest));
    pump_end(&p, 0);
    assert_int_equal(p.stats.to_stream, 12);
    assert_int_equal(p.stats.to_client, 3);
}

static void pumps_until_the_guest_closes(void **state)
{
    (void)state;
    struct pumping p;
    pump_start(&p, 0);
    assert_int_equal(write(p.guest, "bye", 3), 3);
    (void)shutdown(p.guest, SHUT_WR);
    expect(p.client, "\x82\x03" "bye\x88\x02\x03\xe8", 9);
    put(p.client, 0x88, "\x03\xe8", 2);
    pump_end(&p, 0);
}

static void tells_a_client_that_breaks_rules(void **state)
{
    (void)state;
    struct pumping p;
    pump_start(&p, 0);
    assert_int_equal(write(p.client, "\x82\x01x", 3), 3);
    expect(p.client, "\x88\x02\x03\xea", 4);
    pump_end(&p, -EPROTO);
}

static void asks_a_silent_client(void **state)
{
    (void)state;
    struct pumping p;
    pump_start(&p, 30 * USEC_PER_MSEC);
    expect(p.client, "\x89\x00", 2);
    expect(p.client, "\x89\x00", 2);
    pump_end(&p, -ETIMEDOUT);
}

static void client_that_just_leaves(void **state)
{
    (void)state;
    struct pumping p;
    pump_start(&p, 0);
    (void)shutdown(p.client, SHUT_RDWR);
    assert_true(at_end(p.guest));
    pump_end(&p, 0);
}

static void *drain(void *arg)
{
    const struct pumping *p = arg;
    uint64_t *sum = calloc(1, sizeof(*sum));
    assert_non_null(sum);
    /* server frames: 2 bytes of head, 2 more for 126, 8 for 127 */
    unsigned char head[10];
    static unsigned char data[1 << 20];
    while (recv(p->client, head, 2, MSG_WAITALL) == 2 && (head[0] & 15) == WEBSOCKET_BINARY) {
        size_t n = head[1], more = n == 126 ? 2 : n == 127 ? 8 : 0;
        if (more) {
            if (recv(p->client, head, more, MSG_WAITALL) != (ssize_t)more)
                break;
            n = 0;
            for (size_t i = 0; i < more; i++)
                n = n << 8 | head[i];
        }
        if (n > sizeof(data) || recv(p->client, data, n, MSG_WAITALL) != (ssize_t)n)
            break;
        *sum += n;
    }
    return sum;
}

/* Much in both directions at once, with an end that reads late. */
static void pumps_much(void **state)
{
    (void)state;
    struct pumping p;
    pump_start(&p, 0);
    enum { ROUNDS = 200, SIZE = 50000 };
    static char data[SIZE];
    pthread_t thread;
    /* nobody reads the client's side yet: the guest can't send without end */
    struct timeval t = { .tv_usec = 200000 };
    (void)setsockopt(p.guest, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    uint64_t sent = 0;
    ssize_t n;
    while (sent < 20000000 && (n = send(p.guest, data, sizeof(data), MSG_NOSIGNAL)) > 0)
        sent += (uint64_t)n;
    assert_true(sent < 10000000);
    assert_int_equal(pthread_create(&thread, NULL, drain, &p), 0);
    t.tv_sec = 20;
    (void)setsockopt(p.guest, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    for (int i = 0; i < ROUNDS; i++) {
        n = send(p.guest, data, sizeof(data), MSG_NOSIGNAL);
        assert_int_equal(n, SIZE);
        sent += (uint64_t)n;
        put(p.client, 0x82, data, sizeof(data));
        for (size_t got = 0; got < SIZE; got += (size_t)n) {
            n = recv(p.guest, data, SIZE - got, 0);
            assert_true(n > 0);
        }
    }
    (void)shutdown(p.guest, SHUT_WR);
    void *sum;
    pthread_join(thread, &sum);
    assert_int_equal(*(uint64_t *)sum, sent);
    free(sum);
    (void)shutdown(p.client, SHUT_RDWR);
    pump_end(&p, 0);
    assert_int_equal(p.stats.to_client, sent);
    assert_int_equal(p.stats.to_stream, (uint64_t)ROUNDS * SIZE);
}

/* ---- the handshake through the server ---- */

static void shakes_hands(void **state)
{
    (void)state;
    struct harness *h = calloc(1, sizeof(*h));
    harness_start(h, NULL);
    struct answer a;
    char value[64];
#define START "GET /websocket HTTP/1.1\r\nHost: h\r\n"
#define ASKS "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    assert_int_equal(one_shot(h, START "\r\n", NULL), 400);
    assert_int_equal(one_shot(h, START ASKS KEY "\r\n", &a), 426);
    assert_string_equal(answer_header(&a, "Sec-WebSocket-Version", value, sizeof(value)), "13");
    answer_done(&a);
    assert_int_equal(one_shot(h, START ASKS "Sec-WebSocket-Version: 13\r\n\r\n", NULL), 400);
    assert_int_equal(one_shot(h, START ASKS "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n", NULL),
                     400);
    int fd = harness_connect(h);
    send_text(fd, START ASKS KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: base64, binary\r\n\r\n");
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 101);
    assert_string_equal(answer_header(&a, "Sec-WebSocket-Accept", value, sizeof(value)),
                        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_string_equal(answer_header(&a, "Sec-WebSocket-Protocol", value, sizeof(value)), "binary");
    /* the test's application echoes raw bytes */
    send_text(fd, "raw");
    expect(fd, "raw", 3);
    (void)close(fd);
    harness_wait(h, &h->upgrades_ended, 1);
    harness_stop(h, SECONDS(5));
    free(h);
}

int main(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_of_the_rfc),
        cmocka_unit_test(decodes_the_same_however_cut),
        cmocka_unit_test(refuses_broken_frames),
        cmocka_unit_test(makes_frames),
        cmocka_unit_test(pumps_until_the_client_closes),
        cmocka_unit_test(pumps_until_the_guest_closes),
        cmocka_unit_test(tells_a_client_that_breaks_rules),
        cmocka_unit_test(asks_a_silent_client),
        cmocka_unit_test(client_that_just_leaves),
        cmocka_unit_test(pumps_much),
        cmocka_unit_test(shakes_hands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
