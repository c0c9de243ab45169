/*
 * The HTTP client: one call at a time on libcurl's multi interface.
 *
 * The multi handle is there for two things that the easy one can't do: its connections live
 * across calls, and another thread can wake it (http_client_interrupt()).
 *
 * Nothing is followed and no proxy of the environment is used: where a call goes is what its
 * caller said. With allow_address() each address is asked about at the moment it would be
 * connected to, after the name was resolved, and no kept connection is used, so a name that
 * resolves differently the second time gains nothing.
 */
#include "http/client.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define CONNECT_TIMEOUT SECONDS(10)
#define HEADERS_MAX 500

LOG_MODULE("http.client");

struct http_client {
    CURLM *multi;
    CURL *easy;
    _Atomic bool interrupted;
    usec_t timeout;
    char *unix_path, *ca, *cert, *key;
};

static void global_init(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static char *copy(const char *s, bool *failed)
{
    char *text = s ? strdup(s) : NULL;
    *failed |= s && !text;
    return text;
}

int http_client_new(const struct http_client_options *o, struct http_client **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, global_init);
    _cleanup_(http_client_freep) struct http_client *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    bool failed = false;
    c->unix_path = copy(o->unix_path, &failed);
    c->ca = copy(o->ca, &failed);
    c->cert = copy(o->cert, &failed);
    c->key = copy(o->key, &failed);
    c->timeout = o->timeout ? o->timeout : MINUTES(1);
    c->multi = curl_multi_init();
    c->easy = curl_easy_init();
    if (failed || !c->multi || !c->easy)
        return -ENOMEM;
    *ret = TAKE_PTR(c);
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    if (c->easy)
        curl_easy_cleanup(c->easy);
    if (c->multi)
        (void)curl_multi_cleanup(c->multi);
    free(c->unix_path);
    free(c->ca);
    free(c->cert);
    free(c->key);
    free(c);
}

void http_client_interrupt(struct http_client *c)
{
    c->interrupted = true;
    (void)curl_multi_wakeup(c->multi);
}

/* A call under way, for libcurl's callbacks. */
struct under_way {
    const struct http_call *call;
    struct arena *arena;
    struct http_reply reply;
    int error;                      /* that a callback stopped it with */
};

static size_t on_header(char *line, size_t one, size_t n, void *arg)
{
    struct under_way *u = arg;
    n *= one;
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        /* a new answer: what came before was a 100 */
        const char *space = memchr(line, ' ', n);
        u->reply = (struct http_reply){ 0 };
        if (space && line + n - space >= 4)
            u->reply.status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
        return n;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon)
        return n;
    if (u->reply.headers.n >= HEADERS_MAX) {
        u->error = -EMSGSIZE;
        return 0;
    }
    size_t end = n, start = (size_t)(colon - line) + 1;
    while (end > start && isspace((unsigned char)line[end - 1]))
        end--;
    while (start < end && isspace((unsigned char)line[start]))
        start++;
    char *name = arena_strndup(u->arena, line, (size_t)(colon - line));
    char *value = arena_strndup(u->arena, line + start, end - start);
    for (char *s = name; s && *s; s++)
        *s = (char)tolower((unsigned char)*s);
    if (!name || !value || !vec_push(u->arena, &u->reply.headers, ((struct pair){ name, value }))) {
        u->error = -ENOMEM;
        return 0;
    }
    return n;
}

static size_t on_write(char *data, size_t one, size_t n, void *arg)
{
    struct under_way *u = arg;
    const struct http_call *call = u->call;
    n *= one;
    if (call->write && !(u->reply.status >= 400 && call->into)) {
        u->error = call->write(call->arg, data, n);
        if (u->error >= 0)
            u->error = 0;
    } else if (call->into) {
        buf_add(call->into, data, n);
        u->error = buf_error(call->into);
    }
    return u->error ? 0 : n;
}

static size_t on_read(char *out, size_t one, size_t n, void *arg)
{
    struct under_way *u = arg;
    ssize_t got = u->call->read(u->call->arg, out, one * n);
    if (got < 0) {
        u->error = (int)got;
        return CURL_READFUNC_ABORT;
    }
    return (size_t)got;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct under_way *u = arg;
    (void)purpose;
    char text[INET6_ADDRSTRLEN] = "";
    if (a->family == AF_INET) {
        (void)inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)&a->addr)->sin_addr, text, sizeof(text));
    } else if (a->family == AF_INET6) {
        const struct in6_addr *v6 = &((struct sockaddr_in6 *)(void *)&a->addr)->sin6_addr;
        /* an IPv4 address in disguise is asked about as what it is */
        if (IN6_IS_ADDR_V4MAPPED(v6))
            (void)inet_ntop(AF_INET, &v6->s6_addr[12], text, sizeof(text));
        else
            (void)inet_ntop(AF_INET6, v6, text, sizeof(text));
    }
    if (!text[0] || !u->call->allow_address(u->call->arg, text)) {
        u->error = -EACCES;
        return CURL_SOCKET_BAD;
    }
    /* another of the name's addresses may have been refused before this one */
    u->error = 0;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int errno_of(CURL *easy, CURLcode code)
{
    long os_error = 0;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
        return os_error > 0 ? -(int)os_error : -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return -EINVAL;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_PARTIAL_FILE:
        return -ECONNRESET;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return -EPROTO;
    default:
        return -EIO;
    }
}

static void headersp(struct curl_slist **l)
{
    curl_slist_free_all(*l);
}

static bool header_add(struct curl_slist **l, const char *name, const char *value)
{
    char line[16384];
    /* libcurl wants an empty value spelled with a semicolon; null removes its own header */
    int n = !value   ? snprintf(line, sizeof(line), "%s:", name)
            : *value ? snprintf(line, sizeof(line), "%s: %s", name, value)
                     : snprintf(line, sizeof(line), "%s;", name);
    if (n < 0 || (size_t)n >= sizeof(line) || strpbrk(line, "\r\n"))
        return false;
    struct curl_slist *longer = curl_slist_append(*l, line);
    if (!longer)
        return false;
    *l = longer;
    return true;
}

static int headers_of(const struct http_call *call, struct curl_slist **ret)
{
    bool type = false, expect = false, ok = true;
    VEC_FOREACH(header, &call->headers) {
        type |= strcasecmp(header->key, "Content-Type") == 0;
        expect |= strcasecmp(header->key, "Expect") == 0;
        ok = ok && header_add(ret, header->key, str_or(header->value, ""));
    }
    /* Ours to say, not libcurl's to guess. */
    if (!type)
        ok = ok && header_add(ret, "Content-Type", NULL);
    if (!expect && !call->read)
        ok = ok && header_add(ret, "Expect", NULL);
    return ok ? 0 : -EINVAL;
}

static void set_method(CURL *e, const struct http_call *call)
{
    const char *method = str_or(call->method, "GET");
    if (STREQ(method, "HEAD")) {
        (void)curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        return;
    }
    bool wants_body = STREQ(method, "POST") || STREQ(method, "PUT") || STREQ(method, "PATCH");
    if (call->read) {
        (void)curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_length);
        (void)curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    } else if (call->body || wants_body) {
        (void)curl_easy_setopt(e, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(call->body ? call->body_size : 0));
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    } else {
        (void)curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    }
    (void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
}

static void set_options(struct http_client *c, const struct http_call *call, struct under_way *u,
                        struct curl_slist *headers)
{
    CURL *e = c->easy;
    usec_t timeout = call->timeout ? call->timeout : c->timeout;
    curl_easy_reset(e);
    (void)curl_easy_setopt(e, CURLOPT_URL, call->url);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(e, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)MAX(timeout / USEC_PER_MSEC, (usec_t)1));
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(CONNECT_TIMEOUT / USEC_PER_MSEC));
    (void)curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 262144L);
    (void)curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 262144L);
    (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(e, CURLOPT_HEADERDATA, u);
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, u);
    (void)curl_easy_setopt(e, CURLOPT_READDATA, u);
    if (c->unix_path)
        (void)curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, c->unix_path);
    if (c->ca)
        (void)curl_easy_setopt(e, CURLOPT_CAINFO, c->ca);
    if (c->cert)
        (void)curl_easy_setopt(e, CURLOPT_SSLCERT, c->cert);
    if (c->key)
        (void)curl_easy_setopt(e, CURLOPT_SSLKEY, c->key);
    if (call->allow_address) {
        (void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket);
        (void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, u);
        (void)curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        (void)curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    }
    set_method(e, call);
}

/* Runs the easy handle to its end. 0 with its result, or -ECANCELED. */
static int run(struct http_client *c, CURLcode *ret)
{
    if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
        return -ENOMEM;
    int r = -EIO, running = 1;
    while (running) {
        if (atomic_exchange(&c->interrupted, false)) {
            r = -ECANCELED;
            break;
        }
        CURLMcode m = curl_multi_perform(c->multi, &running);
        if (m == CURLM_OK && running)
            m = curl_multi_poll(c->multi, NULL, 0, 10000, NULL);
        if (m != CURLM_OK)
            break;
    }
    int left;
    for (const CURLMsg *msg; (msg = curl_multi_info_read(c->multi, &left));) {
        if (msg->msg == CURLMSG_DONE) {
            *ret = msg->data.result;
            r = 0;
        }
    }
    (void)curl_multi_remove_handle(c->multi, c->easy);
    return r;
}

int http_client_call(struct http_client *c, const struct http_call *call, struct arena *a, struct http_reply *ret)
{
    struct under_way u = { .call = call, .arena = a };
    _cleanup_(headersp) struct curl_slist *headers = NULL;
    int r = headers_of(call, &headers);
    if (r < 0)
        return r;
    set_options(c, call, &u, headers);
    CURLcode code = CURLE_OK;
    r = run(c, &code);
    if (r < 0)
        return r;
    if (u.error) {
        log_debug("call stopped", KV("url", call->url), KV("error", strerror(-u.error)));
        return u.error;
    }
    /* An answer that came before all of the body was sent is an answer. */
    if (code != CURLE_OK && !(code == CURLE_SEND_ERROR && u.reply.status >= 400)) {
        log_debug("call failed", KV("url", call->url), KV("error", curl_easy_strerror(code)));
        return errno_of(c->easy, code);
    }
    if (u.reply.status < 100)
        return -EPROTO;
    *ret = u.reply;
    return 0;
}
