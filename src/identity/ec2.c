/*
 * Trading the signature of a request for a token: /v3/ec2tokens and /v3/s3tokens.
 *
 * A service that was sent a signed request passes on what was signed; who knows the secret of
 * the access key has signed it. Signatures of version 2 (HMAC-SHA-256) and 4 are known; the older
 * ones are too weak. Services of this process ask identity_access_key() instead.
 */
#include "identity/internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <strings.h>

#define TIMESTAMP_LIFE MINUTES(15)

static int refuse(struct fault *f, const char *message)
{
    return fault_set(f, 401, "Unauthorized", "%s", message);
}

static void hmac(const void *key, size_t n, const void *text, size_t size, unsigned char out[32])
{
    unsigned length;
    unsigned char mac[EVP_MAX_MD_SIZE] = { 0 };
    if (!HMAC(EVP_sha256(), key, (int)n, text, size, mac, &length))
        random_bytes(mac, 32); /* nothing equals it */
    memcpy(out, mac, 32);
}

static void hex(const unsigned char *raw, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", raw[i]);
}

static void base64(const unsigned char *raw, size_t n, char *out)
{
    (void)EVP_EncodeBlock((unsigned char *)out, raw, (int)n);
}

static bool equal(const char *a, const char *b)
{
    size_t n = strlen(a);
    return strlen(b) == n && CRYPTO_memcmp(a, b, n) == 0;
}

/* ---- version 4 ---- */

/* HMAC of the text under the key that follows from secret, date, region and service. */
static void sign_4(const char *secret, const char *date, const char *region, const char *service,
                   const char *text, char out[65])
{
    unsigned char key[32];
    char first[512];
    (void)snprintf(first, sizeof(first), "AWS4%s", secret);
    hmac(first, strlen(first), date, strlen(date), key);
    hmac(key, 32, region, strlen(region), key);
    hmac(key, 32, service, strlen(service), key);
    hmac(key, 32, "aws4_request", 12, key);
    hmac(key, 32, text, strlen(text), key);
    hex(key, 32, out);
    explicit_bzero(first, sizeof(first));
}

/* "SignedHeaders" of the Authorization header, or "X-Amz-SignedHeaders" of the query. */
static const char *auth_part(struct arena *a, const json_t *headers, const json_t *params, const char *name)
{
    const char *auth = json_get_string(headers, "Authorization");
    if (!auth)
        return json_get_string(params, arena_printf(a, "X-Amz-%s", name));
    const char *at = strstr(auth, arena_printf(a, "%s=", name));
    if (!at)
        return NULL;
    at += strlen(name) + 1;
    return arena_strndup(a, at, strcspn(at, ", "));
}

static const char *header_of(const json_t *headers, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, key,
                        value) if (strcasecmp(key, name) == 0) return json_string_value(value);
    return NULL;
}

/* "a=b&c=d", sorted, encoded. */
static void canonical_query(struct arena *a, const json_t *params, struct buf *out)
{
    struct strv keys = { 0 };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)params, key, value) if (!STREQ(key, "X-Amz-Signature"))(void)
        strv_add(a, &keys, key);
    strv_sort(&keys);
    for (size_t i = 0; i < keys.n; i++) {
        const json_t *v = json_object_get(params, keys.v[i]);
        if (i)
            buf_addc(out, '&');
        url_encode(out, keys.v[i], "");
        buf_addc(out, '=');
        if (json_is_string(v))
            url_encode(out, json_string_value(v), "-_~");
        else if (json_is_integer(v))
            buf_printf(out, "%lld", (long long)json_integer_value(v));
    }
}

static const char *signature_4(struct arena *a, const json_t *o, const char *secret, const char *host)
{
    const json_t *headers = json_get_object(o, "headers"), *params = json_get_object(o, "params");
    const char *verb = json_get_string(o, "verb"), *path = json_get_string(o, "path");
    const char *body_hash = json_get_string(o, "body_hash");
    const char *names = auth_part(a, headers, params, "SignedHeaders");
    const char *credential = auth_part(a, headers, params, "Credential");
    const char *date = header_of(headers, "X-Amz-Date");
    struct strv parts = { 0 }, list = { 0 };
    _cleanup_(buf_done) struct buf request = BUF_MAX(1 << 20);
    if (!date)
        date = json_get_string(params, "X-Amz-Date");
    if (!verb || !path || !body_hash || !names || !credential || !date ||
        !strv_split(a, &parts, credential, "/") || parts.n != 5 || !str_starts(date, parts.v[1]) ||
        !strv_split(a, &list, names, ";"))
        return NULL;
    buf_printf(&request, "%s\n%s\n", verb, path);
    if (strcasecmp(verb, "POST") != 0)
        canonical_query(a, params, &request);
    buf_addc(&request, '\n');
    for (size_t i = 0; i < list.n; i++) {
        const char *value = strcasecmp(list.v[i], "host") == 0 && host ? host : header_of(headers, list.v[i]);
        if (value)
            buf_printf(&request, "%s:%s\n", list.v[i], value + strspn(value, " \t"));
    }
    buf_printf(&request, "\n%s\n%s", names, body_hash);
    unsigned char digest[EVP_MAX_MD_SIZE];
    char digest_text[65], out[65];
    if (buf_error(&request) || EVP_Digest(request.data, request.len, digest, NULL, EVP_sha256(), NULL) != 1)
        return NULL;
    hex(digest, 32, digest_text);
    const char *text = arena_printf(a, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/%s\n%s", date, parts.v[1], parts.v[2],
                                    parts.v[3], parts.v[4], digest_text);
    if (!text)
        return NULL;
    sign_4(secret, parts.v[1], parts.v[2], parts.v[3], text, out);
    return arena_strdup(a, out);
}

/* ---- version 2 ---- */

static const char *signature_2(struct arena *a, const json_t *o, const char *secret, const char *host)
{
    const json_t *params = json_get_object(o, "params");
    const char *verb = json_get_string(o, "verb"), *path = json_get_string(o, "path");
    _cleanup_(buf_done) struct buf text = BUF_MAX(1 << 20);
    unsigned char mac[32];
    char out[64];
    if (!verb || !path || !host)
        return NULL;
    buf_printf(&text, "%s\n%s\n%s\n", verb, host, path);
    canonical_query(a, params, &text);
    if (buf_error(&text))
        return NULL;
    hmac(secret, strlen(secret), text.data, text.len, mac);
    base64(mac, 32, out);
    return arena_strdup(a, out);
}

static bool signed_right(struct arena *a, const json_t *o, const char *secret)
{
    const char *given = json_get_string(o, "signature"), *host = json_get_string(o, "host");
    const json_t *params = json_get_object(o, "params");
    bool second = str_eq(json_get_string(params, "SignatureVersion"), "2");
    /* Some clients sign without the port. */
    const char *bare = host ? arena_strndup(a, host, strcspn(host, ":")) : NULL;
    const char *hosts[] = { host, bare };
    for (size_t i = 0; given && i < ARRAY_SIZE(hosts); i++) {
        const char *s = second ? signature_2(a, o, secret, hosts[i]) : signature_4(a, o, secret, hosts[i]);
        if (s && equal(given, s))
            return true;
    }
    return false;
}

/* What was signed, as a text in base64. */
static bool s3_signed_right(struct arena *a, const json_t *o, const char *secret)
{
    const char *token = json_get_string(o, "token"), *given = json_get_string(o, "signature");
    char *plain = token ? arena_strdup(a, token) : NULL;
    if (!plain || !given)
        return false;
    for (char *p = plain; *p; p++)
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    size_t n = strcspn(plain, "=");
    char *text = arena_alloc(a, n + 1);
    if (!text || !base64url_decode(plain, n, (unsigned char *)text, &n))
        return false;
    text[n] = 0;
    if (!str_starts(text, "AWS4")) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned size;
        char out[64];
        if (!HMAC(EVP_sha1(), secret, (int)strlen(secret), (unsigned char *)text, n, mac, &size))
            return false;
        base64(mac, size, out);
        return equal(given, out);
    }
    struct strv lines = { 0 }, scope = { 0 };
    char out[65];
    if (!strv_split(a, &lines, text, "\n") || lines.n != 4 || !strv_split(a, &scope, lines.v[2], "/") ||
        scope.n != 4 || !STREQ(scope.v[3], "aws4_request"))
        return false;
    sign_4(secret, scope.v[0], scope.v[1], scope.v[2], text, out);
    return equal(given, out);
}

/* ---- the credential and its token ---- */

static int find_key(struct txn *t, struct arena *a, const char *access, struct credential **ret,
                    const char **ret_secret, struct token_payload *p)
{
    struct trust *trust = NULL;
    char why[200];
    *ret_secret = NULL;
    int r = txn_find_by(t, &IDENTITY_CREDENTIAL_KIND, "access_key", access, ret);
    if (r < 0 || !*ret || !STREQ((*ret)->type, "ec2"))
        return r;
    struct credential *x = *ret;
    _cleanup_(json_decrefp) json_t *blob = json_parse(x->blob, strlen(x->blob), why, sizeof(why));
    *ret_secret = arena_strdup(a, json_get_string(blob, "secret"));
    *p = (struct token_payload){ .user_id = x->user_id,
                                 .scope = SCOPE_PROJECT,
                                 .scope_id = str_or(x->project_id, ""),
                                 .methods = METHOD_EC2,
                                 .trust_id = x->trust_id,
                                 .app_cred_id = x->app_cred_id };
    if (x->trust_id) {
        r = txn_get(t, &IDENTITY_TRUST_KIND, x->trust_id, &trust);
        if (r == 0 && trust && trust->impersonation)
            p->user_id = trust->trustee_user_id;
    }
    return r;
}

int identity_access_key(struct api *api, struct txn *t, struct arena *a, const char *access_key,
                        const char **ret_secret, struct auth *ret, struct fault *fault)
{
    struct credential *x;
    struct token_payload p;
    struct token_info *i = ARENA_NEW(a, struct token_info);
    if (!i)
        return -ENOMEM;
    int r = find_key(t, a, access_key, &x, ret_secret, &p);
    if (r < 0)
        return r;
    if (!x || !*ret_secret)
        return refuse(fault, "EC2 access key not found.");
    p.issued_at = clock_wall();
    p.expires_at = p.issued_at + HOURS(1);
    audit_id_new(p.audit_id);
    r = token_resolve(api, t, a, &p, 0, i, fault);
    if (r == FAULT)
        return refuse(fault, "The request you have made requires authentication.");
    if (r == 0)
        *ret = i->auth;
    return r;
}

static int fresh(struct call *c, const json_t *o)
{
    const json_t *params = json_get_object(o, "params"), *headers = json_get_object(o, "headers");
    const char *text = json_get_string(params, "Timestamp");
    usec_t when;
    char iso[24];
    if (!text)
        text = header_of(headers, "X-Amz-Date");
    if (!text)
        text = json_get_string(params, "X-Amz-Date");
    if (!text)
        return 0;
    if (strlen(text) == 16 && text[8] == 'T') { /* 20260131T120000Z */
        (void)snprintf(iso, sizeof(iso), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", text, text + 4, text + 6, text + 9,
                       text + 11, text + 13);
        text = iso;
    }
    if (time_parse(text, &when) < 0)
        return refuse(&c->fault, "Credential timestamp is invalid");
    return clock_wall() > when + TIMESTAMP_LIFE ? refuse(&c->fault, "Credential is expired") : 0;
}

static int trade(struct call *c, bool s3)
{
    static const char *const KEYS[] = { "credentials", "credential", "ec2Credentials" };
    const json_t *o = NULL;
    struct credential *x;
    const char *secret;
    struct token_payload p;
    struct token_info *i = ARENA_NEW(c->arena, struct token_info);
    struct fault why = { 0 };
    char text[TOKEN_TEXT_MAX];
    if (!i)
        return -ENOMEM;
    if (!c->body)
        return bad_request(c, "request must include a request body");
    for (size_t k = 0; k < ARRAY_SIZE(KEYS) && !o; k++)
        o = json_get_object(c->body, KEYS[k]);
    const char *access = json_get_string(o, "access");
    if (!access)
        return refuse(&c->fault, "EC2 Signature not supplied");
    int r = call_read(c);
    if (r == 0)
        r = find_key(c->txn, c->arena, access, &x, &secret, &p);
    if (r)
        return r;
    if (!x || !secret)
        return refuse(&c->fault, "EC2 access key not found.");
    if (s3 ? !s3_signed_right(c->arena, o, secret) : !signed_right(c->arena, o, secret))
        return refuse(&c->fault, "Invalid EC2 signature.");
    r = fresh(c, o);
    if (r == 0)
        r = token_issue(c->api, c->txn, c->arena, &p, text, i, &why);
    if (r == FAULT && !c->fault.status)
        return refuse(&c->fault, "The request you have made requires authentication.");
    if (r == 0)
        r = token_render(c, c->txn, i, true, &c->out);
    if (r == 0 && !s3)
        http_set_header(c->http, "X-Subject-Token", text);
    return r;
}

int ec2_tokens(struct call *c)
{
    return trade(c, false);
}

int s3_tokens(struct call *c)
{
    return trade(c, true);
}
