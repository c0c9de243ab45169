/*
 * The head of a request: what is let in.
 *
 * libmicrohttpd reads leniently, as a server for many purposes must. Behind a proxy leniency is
 * a hole: two readings of one byte stream let a second request ride in the first one's body. So
 * whatever two readers could see differently is refused here, and the connection with it.
 */
#include "http/internal.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* Larger heads would leave libmicrohttpd no room for the answer's head. */
#define HEAD_MAX ((size_t)16 << 10)
#define FIELDS_MAX 200

static bool token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!token_char((unsigned char)*s))
            return false;
    return true;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 127)
            return true;
    return false;
}

struct field_walk {
    struct http_connection *c;
    const char *wrong;              /* the sentence of the first thing that is wrong */
    const char *length, *host;
    unsigned n_lengths, n_codings, n_hosts, n;
    bool chunked;
};

static enum MHD_Result field_seen(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    struct field_walk *w = cls;
    struct http_connection *c = w->c;
    value = str_or(value, "");
    if (!is_token(name))
        w->wrong = "A header's name has a character that is not allowed.";
    else if (has_control(value))
        w->wrong = "A header's value has a control character.";
    else if (++w->n > FIELDS_MAX)
        w->wrong = "There are too many headers.";
    if (w->wrong)
        return MHD_NO;
    switch (strlen(name)) {
    case 4:
        if (strcasecmp(name, "host") == 0) {
            w->n_hosts++;
            w->host = value;
        }
        break;
    case 14:
        if (strcasecmp(name, "content-length") == 0) {
            w->n_lengths++;
            w->length = value;
        }
        break;
    case 17:
        if (strcasecmp(name, "transfer-encoding") == 0) {
            w->n_codings++;
            w->chunked = strcasecmp(value, "chunked") == 0;
        }
        break;
    default:
        break;
    }
    (void)vec_push(c->rq.arena, &c->fields, ((struct pair){ name, value }));
    return MHD_YES;
}

/* How the body is delimited, and for whom the request is. */
static int framing_check(struct http_connection *c, const struct field_walk *w, const char *version,
                         struct fault *fault)
{
    struct http_request *rq = &c->rq;
    bool http11 = STREQ(version, "HTTP/1.1");
    c->close = true;
    if (w->wrong)
        return fault_set(fault, 400, "BadRequest", "%s", w->wrong);
    if (!http11 && !STREQ(version, "HTTP/1.0"))
        return fault_set(fault, 505, "VersionNotSupported", "Only HTTP/1.1 and HTTP/1.0 are spoken here.");
    if (w->n_lengths + w->n_codings > 1)
        return fault_set(fault, 400, "BadRequest", "The length of the body is given more than once.");
    if (w->n_codings && (!w->chunked || !http11))
        return fault_set(fault, 400, "BadRequest", "The only transfer coding is 'chunked', in HTTP/1.1.");
    if (w->n_hosts > 1 || (w->n_hosts == 0 && http11))
        return fault_set(fault, 400, "BadRequest", "There must be exactly one Host header.");
    if (w->host && strpbrk(w->host, "/\\@?# \t"))
        return fault_set(fault, 400, "BadRequest", "The Host header is malformed.");
    rq->content_length = w->n_codings ? -1 : 0;
    if (w->length) {
        int64_t n = 0;
        const char *s = w->length;
        for (; *s >= '0' && *s <= '9'; s++)
            if (__builtin_mul_overflow(n, (int64_t)10, &n) || __builtin_add_overflow(n, (int64_t)(*s - '0'), &n))
                return fault_set(fault, 413, "TooLarge", "The Content-Length is too large.");
        if (*s || s == w->length)
            return fault_set(fault, 400, "BadRequest", "The Content-Length is not a number.");
        rq->content_length = n;
    }
    rq->host = str_or(w->host, "");
    c->close = false;
    return 0;
}

/* "/a/../b" and its encoded forms; "." segments and empty ones are names like any other. */
static bool climbs(const char *path)
{
    for (const char *s = path; (s = strstr(s, "..")); s += 2)
        if ((s == path || s[-1] == '/') && (s[2] == '/' || s[2] == 0))
            return true;
    return false;
}

static int target_parse(struct http_connection *c, struct fault *fault)
{
    struct http_request *rq = &c->rq;
    char *target = c->target;
    if (!target)
        return fault_set(fault, 400, "BadRequest", "The request target is missing.");
    bool escaped = false;
    for (const char *s = target; *s; s++) {
        if ((unsigned char)*s <= ' ' || *s == 127)
            return fault_set(fault, 400, "BadRequest", "The request target has a control character or a space.");
        escaped |= *s == '%';
    }
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        /* The absolute form is a proxy's; what counts is the part behind the authority. */
        char *path = strchr(target + 8, '/');
        target = path ? path : arena_strdup(rq->arena, "/");
    }
    bool asterisk = STREQ(target, "*") && STREQ(rq->method, "OPTIONS");
    if (*target != '/' && !asterisk)
        return fault_set(fault, 400, "BadRequest", "The request target must be a path.");

    char *question = strchr(target, '?');
    if (question) {
        *question = 0;
        rq->query = question + 1;
    }
    rq->raw_path = target;
    rq->path = target;
    if (escaped && strchr(target, '%')) {
        char *path = arena_strdup(rq->arena, target);
        if (!path)
            return -ENOMEM;
        if (!url_decode(path, false))
            return fault_set(fault, 400, "BadRequest", "The path has a malformed escape or a NUL.");
        rq->path = path;
    }
    if (climbs(rq->path))
        return fault_set(fault, 400, "BadRequest", "The path must not hold '..' segments.");
    if (!question)
        return 0;

    char *save = NULL, *query = arena_strdup(rq->arena, rq->query);
    if (!query)
        return -ENOMEM;
    for (char *pair = strtok_r(query, "&", &save); pair; pair = strtok_r(NULL, "&", &save)) {
        char *value = strchr(pair, '=');
        if (value)
            *value++ = 0;
        if ((escaped || strchr(rq->query, '+')) &&
            (!url_decode(pair, true) || (value && !url_decode(value, true))))
            return fault_set(fault, 400, "BadRequest", "The query string has a malformed escape or a NUL.");
        (void)vec_push(rq->arena, &rq->args, ((struct pair){ pair, str_or(value, "") }));
    }
    return 0;
}

/* The verified name of a TLS client, once for each connection. */
static void tls_peer(struct http_connection *c)
{
    struct http_peer *peer = c->peer;
    if (!peer->tls_checked) {
        peer->tls_checked = true;
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        gnutls_session_t session = info ? info->tls_session : NULL;
        unsigned verdict = 0, n_certs = 0;
        gnutls_x509_crt_t cert = NULL;
        size_t size = sizeof(peer->tls_name);
        const gnutls_datum_t *list = session ? gnutls_certificate_get_peers(session, &n_certs) : NULL;
        if (!list || n_certs == 0 || !c->server->tls_ca ||
            gnutls_certificate_verify_peers2(session, &verdict) != 0 || verdict != 0 ||
            gnutls_x509_crt_init(&cert) != 0)
            return;
        if (gnutls_x509_crt_import(cert, &list[0], GNUTLS_X509_FMT_DER) != 0 ||
            gnutls_x509_crt_get_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, 0, peer->tls_name, &size) != 0)
            peer->tls_name[0] = 0;
        gnutls_x509_crt_deinit(cert);
    }
    if (peer->tls_name[0])
        c->rq.tls_peer_name = peer->tls_name;
}

int http_head_parse(struct http_connection *c, const char *method, const char *version, struct fault *fault)
{
    struct http_request *rq = &c->rq;
    rq->method = arena_strdup(rq->arena, method);
    rq->peer = c->peer->address;
    rq->local = c->peer->local;
    rq->tls = c->peer->tls;
    if (rq->tls)
        tls_peer(c);

    struct field_walk w = { .c = c };
    (void)MHD_get_connection_values(c->mhd, MHD_HEADER_KIND, field_seen, &w);
    int r = framing_check(c, &w, version, fault);
    if (r != 0)
        return r;
    if (!is_token(method) || strlen(method) > 32)
        return fault_set(fault, 400, "BadRequest", "The method is malformed.");
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (info && info->header_size > HEAD_MAX) {
        c->close = true;
        return fault_set(fault, 431, "HeadersTooLarge", "The head of the request is larger than %zu bytes.",
                         HEAD_MAX);
    }
    r = target_parse(c, fault);
    if (r == 0 && arena_failed(rq->arena))
        r = -ENOMEM;
    return r;
}

const char *http_header(const struct http_request *rq, const char *name)
{
    VEC_FOREACH(field, &rq->self->fields)
        if (strcasecmp(field->key, name) == 0)
            return field->value;
    return NULL;
}

void http_headers(const struct http_request *rq, void (*fn)(void *arg, const char *name, const char *value),
                  void *arg)
{
    VEC_FOREACH(field, &rq->self->fields)
        fn(arg, field->key, field->value);
}

const char *http_arg(const struct http_request *rq, const char *name)
{
    return strmap_get(&rq->args, name);
}
