/* Sinks, parking, upgrades, TLS, stopping: all that is under way for longer. */
#include "harness.h"

#include "http/client.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static int setup(void **state)
{
    (void)log_take_warnings();
    struct harness *h = calloc(1, sizeof(*h));
    harness_start(h, NULL);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct harness *h = *state;
    if (h->server)
        harness_stop(h, SECONDS(10));
    free(h);
    return 0;
}

static void *stop_server(void *arg)
{
    harness_stop(arg, SECONDS(20));
    return NULL;
}

/* ---- sinks ---- */

static void sink_takes_chunks(void **state)
{
    struct harness *h = *state;
    assert_int_equal(one_shot(h, "PUT /sink HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", NULL), 201);
    assert_int_equal(h->sunk, 7);
    assert_int_equal(h->sunk_sum, 'a' + 'b' + 'c' + 'd' + 'e' + 'f' + 'g');
    assert_int_equal(one_shot(h, "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", NULL), 201);
    assert_int_equal(h->sunk, 7);
}

/* What the sink does not take, the client keeps. */
static void sink_holds_back_the_client(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    int small = 65536;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    send_text(fd, "PUT /sink/gate HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n");
    char *data = calloc(1, 1000000);
    size_t sent = 0;
    struct timeval t = { .tv_usec = 300000 };
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    ssize_t n;
    while (sent < 50000000 && (n = send(fd, data, MIN((size_t)1000000, 50000000 - sent), MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    assert_true(sent < 20000000);
    harness_open_gate(h);
    t.tv_sec = 20;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    while (sent < 50000000 && (n = send(fd, data, MIN((size_t)1000000, 50000000 - sent), MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    free(data);
    struct answer a;
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 201);
    answer_done(&a);
    assert_int_equal(h->sunk, 50000000);
}

static void sink_fails(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    char *data = calloc(1, 1000000);
    for (int i = 0; i < 2; i++) {
        /* the connection lives on, for the rest was drained */
        send_text(fd, "PUT /sink/fails HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
        assert_int_equal(send(fd, data, 1000000, MSG_NOSIGNAL), 1000000);
        struct answer a;
        assert_true(read_answer(fd, false, &a));
        assert_int_equal(a.status, 507);
        answer_done(&a);
    }
    free(data);
    assert_int_equal(h->sink_error, -ENOSPC);
}

static void sink_has_a_limit(void **state)
{
    struct harness *h = *state;
    assert_int_equal(one_shot(h, "PUT /sink/limited HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n"
                                 "Expect: 100-continue\r\n\r\n", NULL), 413);
    char request[1300] = "PUT /sink/limited HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n";
    size_t n = strlen(request);
    memset(request + n, 'x', 1001);
    memcpy(request + n + 1001, "\r\n0\r\n\r\n", 8);
    assert_int_equal(one_shot(h, request, NULL), 507);
    assert_int_equal(h->sink_error, -EFBIG);
}

static void client_leaves_a_sink(void **state)
{
    struct harness *h = *state;
    for (unsigned i = 1; i <= 2; i++) {
        int fd = harness_connect(h);
        send_text(fd, i == 1 ? "PUT /sink HTTP/1.1\r\nHost: h\r\nX-A: b\r\nContent-Length: 50\r\n\r\nhello"
                             : "PUT /sink HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        (void)close(fd);
        harness_wait(h, &h->done, i);
        assert_int_equal(h->handled, i);
        assert_int_equal(h->sink_error, -EPIPE);
        h->sink_error = 0;
    }
}

static void client_leaves_a_sink_that_writes(void **state)
{
    struct harness *h = *state;
    int fd = harness_connect(h);
    char *data = calloc(1, 100000);
    send_text(fd, "PUT /sink/gate HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n");
    assert_int_equal(send(fd, data, 100000, MSG_NOSIGNAL), 100000);
    free(data);
    pthread_mutex_lock(&h->lock);
    while (h->sunk == 0)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
    (void)close(fd);
    /* another request has gone through the loop after the end of the connection */
    assert_int_equal(one_shot(h, GET("/inline/x"), NULL), 200);
    harness_open_gate(h);
    harness_wait(h, &h->done, 2);
    assert_int_equal(h->sink_error, -EPIPE);
}

/* ---- parking ---- */

static void check_park(int fd, int status, const char *text)
{
    struct answer a;
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, status);
    assert_string_equal(a.body, text);
    answer_done(&a);
}

static void wait_parked(struct harness *h)
{
    pthread_mutex_lock(&h->lock);
    while (!h->parked)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void parks_and_wakes(void **state)
{
    struct harness *h = *state;
    static const char *const REQUESTS[] = { GET("/park"), GET("/inline/park"), GET("/park/early") };
    _cleanup_(closep) int fd = harness_connect(h);
    for (size_t i = 0; i < ARRAY_SIZE(REQUESTS); i++) {
        send_text(fd, REQUESTS[i]);
        wait_parked(h);
        http_wake(h->parked);
        http_wake(h->parked);
        check_park(fd, 200, "woken");
        http_wake(h->parked);
        http_parked_unref(TAKE_PTR(h->parked));
    }
    send_text(fd, GET("/park/short"));
    check_park(fd, 200, "timed out");
    assert_int_equal(h->handled, 4);
}

static void parks_many(void **state)
{
    struct harness *h = *state;
    int fds[100];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = harness_connect(h);
        send_text(fds[i], GET("/park/short"));
    }
    /* others are served meanwhile, for no thread is held */
    assert_int_equal(one_shot(h, GET("/x"), NULL), 200);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        check_park(fds[i], 200, "timed out");
        (void)close(fds[i]);
    }
}

/* ---- upgrades ---- */

static void upgrades(void **state)
{
    struct harness *h = *state;
    int fd = harness_connect(h);
    send_text(fd, "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly");
    struct answer a;
    assert_true(read_answer(fd, false, &a));
    assert_int_equal(a.status, 101);
    char value[64], got[16] = "";
    assert_string_equal(answer_header(&a, "Upgrade", value, sizeof(value)), "echo");
    assert_int_equal(recv(fd, got, 5, MSG_WAITALL), 5);
    assert_string_equal(got, "early");
    send_text(fd, "later");
    assert_int_equal(recv(fd, got, 5, MSG_WAITALL), 5);
    assert_string_equal(got, "later");
    (void)close(fd);
    harness_wait(h, &h->upgrades_ended, 1);
    /* HTTP/1.0 has no upgrades: the argument is given back */
    (void)one_shot(h, "GET /upgrade HTTP/1.0\r\nHost: h\r\n\r\n", NULL);
    harness_wait(h, &h->upgrades_ended, 2);
}

static void stop_ends_upgrades(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int fd = harness_connect(h);
    send_text(fd, "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nx");
    struct answer a;
    assert_true(read_answer(fd, false, &a));
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    harness_stop(h, 0);
    assert_int_equal(h->upgrades_ended, 1);
    assert_true(at_end(fd));
}

/* ---- slow clients ---- */

static void slow_clients_are_cut(void **state)
{
    struct harness *h = calloc(1, sizeof(*h));
    (void)state;
    harness_start(h, &(struct http_options){ .listen = "127.0.0.1:0", .threads = 1, .workers = 2,
                                             .timeout = SECONDS(1) });
    static const char *const STARTS[] = { "", "GET /x HT", "GET /x HTTP/1.1\r\nHost: h\r\nX-",
                                          "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel",
                                          "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel" };
    int fds[ARRAY_SIZE(STARTS)];
    for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++) {
        fds[i] = harness_connect(h);
        send_text(fds[i], STARTS[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++) {
        char text[1024];
        ssize_t n;
        while ((n = recv(fds[i], text, sizeof(text), 0)) > 0)
            ;
        assert_true(n == 0 || errno != EAGAIN);
        (void)close(fds[i]);
    }
    harness_stop(h, SECONDS(1));
    free(h);
}

/* Bytes that drip do not keep a head or a body alive for ever. */
static void dripping_clients_are_cut(void **state)
{
    struct harness *h = calloc(1, sizeof(*h));
    (void)state;
    harness_start(h, &(struct http_options){ .listen = "127.0.0.1:0", .threads = 1, .workers = 2,
                                             .timeout = SECONDS(1) });
    static const char *const STARTS[] = { "GET /x HTTP/1.1\r\nHost: h\r\nX-A: ",
                                          "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n" };
    int fds[ARRAY_SIZE(STARTS)];
    for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++) {
        fds[i] = harness_connect(h);
        send_text(fds[i], STARTS[i]);
        struct timeval t = { .tv_usec = 100000 };
        (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    }
    unsigned ended = 0;
    for (int drops = 0; drops < 100 && ended < 3; drops++) {
        for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++) {
            (void)!send(fds[i], "x", 1, MSG_NOSIGNAL);
            ended |= at_end(fds[i]) ? 1U << i : 0;
        }
    }
    assert_int_equal(ended, 3);
    for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++)
        (void)close(fds[i]);
    harness_stop(h, SECONDS(1));
    free(h);
}

/* ---- stopping ---- */

static void stop_finishes_what_is_under_way(void **state)
{
    struct harness *h = *state;
    _cleanup_(closep) int gate = harness_connect(h);
    _cleanup_(closep) int stream = harness_connect(h);
    _cleanup_(closep) int park = harness_connect(h);
    _cleanup_(closep) int idle = harness_connect(h);
    send_text(gate, GET("/gate"));
    send_text(stream, GET("/stream"));
    send_text(park, GET("/park"));
    send_text(idle, GET("/inline/x"));
    struct answer a;
    assert_true(read_answer(idle, false, &a));
    answer_done(&a);
    harness_wait(h, &h->handled, 4);
    wait_parked(h);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_server, h), 0);
    check_park(park, 503, "stopping");
    harness_open_gate(h);
    assert_true(read_answer(gate, false, &a));
    assert_int_equal(a.status, 200);
    assert_false(a.keeps);
    answer_done(&a);
    assert_true(read_answer(stream, false, &a));
    assert_int_equal(a.body_size, 3000000);
    answer_done(&a);
    pthread_join(thread, NULL);
    assert_true(at_end(idle));
}

static void stop_cuts_what_takes_too_long(void **state)
{
    struct harness *h = *state;
    static const char *const STARTS[] = { GET("/stream"), "PUT /sink HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nx",
                                          "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nx", "GET /x HT" };
    int fds[ARRAY_SIZE(STARTS)];
    for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++) {
        fds[i] = harness_connect(h);
        send_text(fds[i], STARTS[i]);
    }
    harness_wait(h, &h->begun, 3);
    harness_stop(h, 10 * USEC_PER_MSEC);
    assert_int_equal(h->sink_error, -EPIPE);
    for (size_t i = 0; i < ARRAY_SIZE(STARTS); i++)
        (void)close(fds[i]);
}

static void refuses_a_taken_address(void **state)
{
    struct harness *h = *state;
    char listen[64];
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", http_server_port(h->server));
    struct http_server *s = NULL;
    struct fault fault = { 0 };
    assert_int_equal(http_server_start(&(struct http_options){ .listen = listen }, &s, &fault), FAULT);
    assert_non_null(strstr(fault.message, "Address already in use"));
    assert_int_equal(http_server_start(&(struct http_options){ .unix_path = h->unix_path }, &s, &fault), FAULT);
    assert_non_null(strstr(fault.message, "Another server answers"));
    assert_int_equal(http_server_start(&(struct http_options){ .listen = "nonsense" }, &s, &fault), FAULT);
    assert_int_equal(http_server_start(&(struct http_options){ .listen = "127.0.0.1:0", .tls_cert = "/nowhere",
                                                               .tls_key = "/nowhere" }, &s, &fault), FAULT);
    assert_non_null(strstr(fault.message, "/nowhere"));
}

/* ---- TLS ---- */

static void write_file(const char *dir, const char *name, const gnutls_datum_t *pem, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s/%s", dir, name);
    FILE *f = fopen(ret, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(pem->data, 1, pem->size, f), pem->size);
    (void)fclose(f);
}

/* A key and a certificate for 'name', signed by 'ca' (null: by itself, as an authority). */
static void make_certificate(const char *name, gnutls_x509_crt_t ca, gnutls_x509_privkey_t ca_key,
                             gnutls_x509_crt_t *ret_crt, gnutls_x509_privkey_t *ret_key)
{
    gnutls_x509_crt_init(ret_crt);
    gnutls_x509_privkey_init(ret_key);
    assert_int_equal(gnutls_x509_privkey_generate(*ret_key, GNUTLS_PK_ECDSA,
                                                  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
    gnutls_x509_crt_set_version(*ret_crt, 3);
    gnutls_x509_crt_set_serial(*ret_crt, name, MIN(strlen(name), (size_t)8));
    gnutls_x509_crt_set_activation_time(*ret_crt, clock_wall() / SECONDS(1) - 3600);
    gnutls_x509_crt_set_expiration_time(*ret_crt, clock_wall() / SECONDS(1) + 3600);
    gnutls_x509_crt_set_dn_by_oid(*ret_crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
    unsigned char loopback[4] = { 127, 0, 0, 1 };
    gnutls_x509_crt_set_subject_alt_name(*ret_crt, GNUTLS_SAN_IPADDRESS, loopback, 4, GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_basic_constraints(*ret_crt, ca == NULL, -1);
    gnutls_x509_crt_set_key(*ret_crt, *ret_key);
    assert_int_equal(gnutls_x509_crt_sign2(*ret_crt, ca ? ca : *ret_crt, ca ? ca_key : *ret_key, GNUTLS_DIG_SHA256,
                                           0), 0);
}

static void speaks_tls(void **state)
{
    (void)state;
    char dir[] = "/tmp/yunduo-http-tls-XXXXXX", ca_path[64], cert_path[64], key_path[64];
    assert_non_null(mkdtemp(dir));
    gnutls_x509_crt_t ca, cert;
    gnutls_x509_privkey_t ca_key, key;
    gnutls_datum_t pem;
    make_certificate("authority", NULL, NULL, &ca, &ca_key);
    make_certificate("host-1", ca, ca_key, &cert, &key);
    gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &pem);
    write_file(dir, "ca", &pem, ca_path, sizeof(ca_path));
    gnutls_free(pem.data);
    gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &pem);
    write_file(dir, "cert", &pem, cert_path, sizeof(cert_path));
    gnutls_free(pem.data);
    gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
    write_file(dir, "key", &pem, key_path, sizeof(key_path));
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_crt_deinit(cert);
    gnutls_x509_privkey_deinit(ca_key);
    gnutls_x509_privkey_deinit(key);

    struct harness *h = calloc(1, sizeof(*h));
    harness_start(h, &(struct http_options){ .listen = "127.0.0.1:0", .threads = 1, .workers = 2,
                                             .tls_cert = cert_path, .tls_key = key_path,
                                             .tls_client_ca = ca_path });
    struct arena *arena = arena_new(0);
    for (int with_cert = 0; with_cert < 2; with_cert++) {
        struct http_client *client;
        assert_int_equal(http_client_new(&(struct http_client_options){ .ca = ca_path,
                                                                        .cert = with_cert ? cert_path : NULL,
                                                                        .key = with_cert ? key_path : NULL },
                                         &client), 0);
        _cleanup_(buf_done) struct buf into = BUF_MAX(4 << 20);
        struct http_reply r;
        struct http_call c = { .into = &into,
                               .url = arena_printf(arena, "https://127.0.0.1:%u/x", http_server_port(h->server)) };
        assert_int_equal(http_client_call(client, &c, arena, &r), 0);
        assert_int_equal(r.status, 200);
        assert_non_null(strstr(buf_text(&into), with_cert ? "tls=1\ntls_name=host-1\n" : "tls=1\ntls_name=-\n"));
        buf_clear(&into);
        c.url = arena_printf(arena, "https://127.0.0.1:%u/file", http_server_port(h->server));
        assert_int_equal(http_client_call(client, &c, arena, &r), 0);
        assert_int_equal(into.len, 2000000 - 26);
        http_client_free(client);
    }
    /* who does not know the authority refuses */
    struct http_client *client;
    assert_int_equal(http_client_new(&(struct http_client_options){ 0 }, &client), 0);
    struct http_call c = { .url = arena_printf(arena, "https://127.0.0.1:%u/x", http_server_port(h->server)) };
    struct http_reply r;
    assert_int_equal(http_client_call(client, &c, arena, &r), -EPROTO);
    http_client_free(client);
    harness_stop(h, SECONDS(5));
    free(h);
    arena_free(arena);
    (void)unlink(ca_path);
    (void)unlink(cert_path);
    (void)unlink(key_path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(sink_takes_chunks),
        T(sink_holds_back_the_client),
        T(sink_fails),
        T(sink_has_a_limit),
        T(client_leaves_a_sink),
        T(client_leaves_a_sink_that_writes),
        T(parks_and_wakes),
        T(parks_many),
        T(upgrades),
        T(stop_ends_upgrades),
        cmocka_unit_test(slow_clients_are_cut),
        cmocka_unit_test(dripping_clients_are_cut),
        T(stop_finishes_what_is_under_way),
        T(stop_cuts_what_takes_too_long),
        T(refuses_a_taken_address),
        cmocka_unit_test(speaks_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
