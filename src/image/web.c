/*
 * Fetching by URL, without letting a tenant reach what only this machine can.
 *
 * A URL is checked twice. By its text: http or https, a port and host that are allowed, no
 * user name, and not literally a private address. And by what the name became: the client
 * asks for each address that it is about to connect to, so a name that resolves to 127.0.0.1
 * or 169.254.169.254, at once or only the second time, is refused there. Each redirect goes
 * through both gates again. The operator names networks that are allowed all the same.
 */
#include "image/internal.h"

#include "base/log.h"
#include "base/macro.h"
#include "http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>

LOG_MODULE("image.web");

struct target {
    char host[256];
    char port[8];
};

static int split(const char *url, struct target *ret)
{
    const char *p = url;
    const char *port;
    if (strncasecmp(p, "http://", 7) == 0) {
        p += 7;
        port = "80";
    } else if (strncasecmp(p, "https://", 8) == 0) {
        p += 8;
        port = "443";
    } else {
        return FAULT;
    }
    size_t n = strcspn(p, "/?#");
    if (n == 0 || n >= sizeof(ret->host) || memchr(p, '@', n) || memchr(p, '\\', n))
        return FAULT;
    const char *end = p + n, *colon;
    if (*p == '[') {
        const char *close = memchr(p, ']', n);
        if (!close)
            return FAULT;
        snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(close - p - 1), p + 1);
        colon = close + 1 < end ? close + 1 : NULL;
        if (colon && *colon != ':')
            return FAULT;
    } else {
        colon = memchr(p, ':', n);
        snprintf(ret->host, sizeof(ret->host), "%.*s", (int)((colon ? colon : end) - p), p);
    }
    if (colon) {
        size_t len = (size_t)(end - colon - 1);
        if (len == 0 || len > 5 || strspn(colon + 1, "0123456789") < len)
            return FAULT;
        snprintf(ret->port, sizeof(ret->port), "%.*s", (int)len, colon + 1);
    } else {
        snprintf(ret->port, sizeof(ret->port), "%s", port);
    }
    return ret->host[0] ? 0 : FAULT;
}

struct net {
    int family;
    unsigned char address[16];
    unsigned bits;
};

/* "10.0.0.0/8", "::1", ...; IPv4 inside IPv6 becomes IPv4, which is where it leads. */
static bool parse_net(const char *text, struct net *ret)
{
    char buf[80];
    snprintf(buf, sizeof(buf), "%s", text);
    char *slash = strchr(buf, '/'), *zone = strchr(buf, '%');
    if (slash)
        *slash = 0;
    if (zone)
        *zone = 0;
    unsigned width = 32;
    ret->family = AF_INET;
    memset(ret->address, 0, sizeof(ret->address));
    if (inet_pton(AF_INET, buf, ret->address) != 1) {
        if (inet_pton(AF_INET6, buf, ret->address) != 1)
            return false;
        ret->family = AF_INET6;
        width = 128;
        static const unsigned char MAPPED[12] = { [10] = 0xff, [11] = 0xff };
        static const unsigned char NAT64[12] = { 0, 0x64, 0xff, 0x9b };
        if (!slash && (memcmp(ret->address, MAPPED, 12) == 0 || memcmp(ret->address, NAT64, 12) == 0)) {
            memmove(ret->address, ret->address + 12, 4);
            ret->family = AF_INET;
            width = 32;
        }
    }
    ret->bits = slash ? (unsigned)strtoul(slash + 1, NULL, 10) : width;
    return ret->bits <= width;
}

static bool inside(const struct net *a, const struct net *n)
{
    if (a->family != n->family)
        return false;
    unsigned whole = n->bits / 8, rest = n->bits % 8;
    if (memcmp(a->address, n->address, whole) != 0)
        return false;
    unsigned mask = (0xff00u >> rest) & 0xff;
    return rest == 0 || ((a->address[whole] ^ n->address[whole]) & mask) == 0;
}

static bool address_allowed(void *arg, const char *text)
{
    /* Everything that is not the public Internet. */
    static const char *const PRIVATE[] = {
        "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",    "::/96",
        "100::/64",      "2001:db8::/32",   "2002::/16",      "fc00::/7",       "fe80::/10",
        "fec0::/10",     "ff00::/8",
    };
    const struct image_state *s = arg;
    struct net a, n;
    if (s->o.web_download_private)
        return true;
    if (!parse_net(text, &a))
        return false;
    VEC_FOREACH (w, &s->o.web_download_networks)
        if (parse_net(*w, &n) && inside(&a, &n))
            return true;
    for (size_t k = 0; k < ARRAY_SIZE(PRIVATE); k++)
        if (parse_net(PRIVATE[k], &n) && inside(&a, &n))
            return false;
    return true;
}

int web_check(struct image_state *s, const char *url, struct fault *f)
{
    struct target t;
    struct net n;
    bool good = url && split(url, &t) == 0 &&
                (s->o.web_download_private || strv_has(&s->o.web_download_ports, t.port));
    if (good && s->o.web_download_allow.n) {
        good = false;
        VEC_FOREACH (h, &s->o.web_download_allow)
            good = good || strcasecmp(*h, t.host) == 0;
    }
    if (good && (parse_net(t.host, &n) || strcasecmp(t.host, "localhost") == 0))
        good = address_allowed(s, strcasecmp(t.host, "localhost") == 0 ? "127.0.0.1" : t.host);
    if (good)
        return 0;
    return fault_set(f, 400, "BadRequest", "URI for web-download does not pass filtering: %s",
                     str_or(url, "None"));
}

/* ---- the fetch ---- */

struct fetch {
    struct image_state *state;
    struct blob_writer *writer;
    uint64_t size_max;
    int failure; /* BLOB_FULL, -EFBIG or another negative */
};

static int fetch_write(void *arg, const void *data, size_t n)
{
    struct fetch *w = arg;
    if (w->state->stopping)
        return -ECANCELED;
    int r = blob_written(w->writer) + n > w->size_max ? -EFBIG : blob_write(w->writer, data, n);
    w->failure = r;
    return r ? -ECANCELED : 0;
}

static bool fetch_allowed(void *arg, const char *address)
{
    const struct fetch *w = arg;
    return address_allowed(w->state, address);
}

static int failed(struct fault *f, const char *url, const char *why)
{
    return fault_set(f, 400, "ImportFailed", "Could not fetch %s: %s", url, why);
}

#define FETCH_TIMEOUT HOURS(6)
#define REDIRECTS_MAX 5

static bool fetching_add(struct image_state *s, struct http_client *c)
{
    bool added = false;
    pthread_mutex_lock(&s->fetch_mutex);
    for (size_t k = 0; !added && !s->stopping && k < ARRAY_SIZE(s->fetching); k++)
        if (!s->fetching[k]) {
            s->fetching[k] = c;
            added = true;
        }
    pthread_mutex_unlock(&s->fetch_mutex);
    return added;
}

static void fetching_drop(struct image_state *s, const struct http_client *c)
{
    pthread_mutex_lock(&s->fetch_mutex);
    for (size_t k = 0; k < ARRAY_SIZE(s->fetching); k++)
        if (s->fetching[k] == c)
            s->fetching[k] = NULL;
    pthread_mutex_unlock(&s->fetch_mutex);
}

void web_stop(struct image_state *s)
{
    pthread_mutex_lock(&s->fetch_mutex);
    s->stopping = true;
    for (size_t k = 0; k < ARRAY_SIZE(s->fetching); k++)
        if (s->fetching[k])
            http_client_interrupt(s->fetching[k]);
    pthread_mutex_unlock(&s->fetch_mutex);
}

/* Where a redirect leads; null when it is none that we follow. */
static const char *redirected(struct arena *a, const char *url, const struct http_reply *reply)
{
    const char *to = strmap_get(&reply->headers, "location");
    if (!to || reply->status < 301 || reply->status > 308 || reply->status == 304)
        return NULL;
    if (to[0] != '/' || to[1] == '/')
        return to;
    const char *host = strstr(url, "://");
    size_t n = host ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
    return n ? arena_printf(a, "%.*s%s", (int)n, url, to) : NULL;
}

/* One request. 0; FAULT; BLOB_MISSING with *ret_next: it leads there. */
static int fetch_once(struct image_state *s, struct arena *a, struct http_client *client, const char *url,
                      const struct strmap *headers, bool trusted, uint64_t size_max, struct blob_info *ret,
                      const char **ret_next, struct fault *f)
{
    _cleanup_(blob_abortp) struct blob_writer *writer = NULL;
    int r = blob_begin(s->stores[0], 0, &writer);
    if (r == BLOB_FULL)
        return failed(f, url, "the image store is full.");
    if (r != 0)
        return r;
    struct fetch w = { s, writer, size_max, 0 };
    _cleanup_(buf_done) struct buf said = BUF_MAX(4096);
    struct http_call call = { .url = url,
                              .write = fetch_write,
                              .into = &said,
                              .arg = &w,
                              .body_length = 0,
                              .allow_address = trusted ? NULL : fetch_allowed };
    if (headers)
        call.headers = *headers;
    struct http_reply reply = {};
    r = http_client_call(client, &call, a, &reply);
    if (w.failure == BLOB_FULL)
        return failed(f, url, "the image store is full.");
    if (w.failure == -EFBIG)
        return failed(f, url, "it is larger than is allowed.");
    if (w.failure < 0)
        return w.failure;
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        log_debug("a fetch failed", KV("url", url), KV("error", strerror(-r)));
        return failed(f, url, "there was no answer, or it is not allowed.");
    }
    if (!trusted && (*ret_next = redirected(a, url, &reply)))
        return BLOB_MISSING;
    if (reply.status != 200)
        return failed(f, url, arena_printf(a, "the answer was %d.", reply.status));
    const char *length = strmap_get(&reply.headers, "content-length");
    if (length && strtoull(length, NULL, 10) != blob_written(writer))
        return failed(f, url, "the answer was cut short.");
    r = blob_finish(writer, ret);
    return r == BLOB_FULL ? failed(f, url, "the image store is full.") : r;
}

int web_fetch(struct image_state *s, struct arena *a, const char *url, const struct strmap *headers,
              bool trusted, uint64_t size_max, struct blob_info *ret, struct fault *f)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    struct http_client_options o = { .timeout = FETCH_TIMEOUT };
    int r = http_client_new(&o, &client);
    if (r != 0)
        return r;
    if (!fetching_add(s, client))
        return failed(f, url, "too much is being fetched at once.");
    r = BLOB_MISSING;
    for (unsigned hop = 0; r == BLOB_MISSING && hop <= REDIRECTS_MAX; hop++) {
        const char *next = NULL;
        r = fetch_once(s, a, client, url, headers, trusted, size_max, ret, &next, f);
        if (r == BLOB_MISSING && web_check(s, next, f) != 0)
            r = failed(f, url, "it leads to where nothing may be fetched from.");
        url = next ? next : url;
    }
    fetching_drop(s, client);
    return r == BLOB_MISSING ? failed(f, url, "it leads to too many places.") : r;
}

int web_size(struct image_state *s, struct arena *a, const char *url, int64_t *ret_size, struct fault *f)
{
    _cleanup_(http_client_freep) struct http_client *client = NULL;
    struct http_client_options o = { .timeout = SECONDS(10) };
    int r = http_client_new(&o, &client);
    if (r != 0)
        return r;
    struct fetch w = { .state = s };
    struct http_call call = { .method = "HEAD", .url = url, .arg = &w, .allow_address = fetch_allowed };
    struct http_reply reply = {};
    r = http_client_call(client, &call, a, &reply);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || reply.status != 200)
        return fault_set(f, 400, "BadRequest", "Invalid location: %s can't be reached.", url);
    const char *length = strmap_get(&reply.headers, "content-length");
    *ret_size = length ? (int64_t)strtoll(length, NULL, 10) : 0;
    return 0;
}
