/*
 * Keypairs: public keys that servers take at birth; private ones are made, told once, forgotten.
 */
#include "compute/internal.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>

#define KEY_BITS 2048
#define X509_DAYS 3650

static void pkey_freep(EVP_PKEY **k)
{
    EVP_PKEY_free(*k);
}
static void bio_freep(BIO **b)
{
    BIO_free(*b);
}
static void x509_freep(X509 **x)
{
    X509_free(*x);
}
static void bn_freep(BIGNUM **b)
{
    BN_free(*b);
}

/* ---- SSH public keys (RFC 4253 6.6): "type base64 comment" ---- */

static const char *hex_colons(struct arena *a, const unsigned char *bytes, size_t n)
{
    char *text = arena_alloc(a, n * 3 + 1);
    for (size_t i = 0; text && i < n; i++)
        (void)snprintf(text + i * 3, 4, "%02x%s", bytes[i], i + 1 < n ? ":" : "");
    return text;
}

/* The blob begins with its own type: the one check that the text is what it says. Null otherwise. */
static const char *ssh_fingerprint(struct arena *a, const char *public_key)
{
    struct strv parts = { 0 };
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!strv_split(a, &parts, public_key, " \t\r\n") || parts.n < 2)
        return NULL;
    size_t n = strlen(parts.v[1]);
    unsigned char *blob = arena_alloc(a, n + 4);
    int length = blob && n % 4 == 0 ? EVP_DecodeBlock(blob, (const unsigned char *)parts.v[1], (int)n) : -1;
    for (size_t i = n; i > 0 && length > 0 && parts.v[1][i - 1] == '='; i--)
        length--;
    size_t type = strlen(parts.v[0]);
    if (length < (int)type + 4 || memcmp(blob + 4, parts.v[0], type) != 0 ||
        ((size_t)blob[2] << 8 | blob[3]) != type || blob[0] || blob[1])
        return NULL;
    if (EVP_Digest(blob, (size_t)length, digest, &size, EVP_md5(), NULL) != 1)
        return NULL;
    return hex_colons(a, digest, size);
}

static size_t put_number(unsigned char *at, const BIGNUM *n)
{
    /* an mpint: a leading zero keeps it positive */
    size_t size = (size_t)BN_num_bytes(n), pad = BN_num_bits(n) % 8 == 0;
    size_t total = size + pad;
    at[0] = (unsigned char)(total >> 24);
    at[1] = (unsigned char)(total >> 16);
    at[2] = (unsigned char)(total >> 8);
    at[3] = (unsigned char)total;
    at[4] = 0;
    (void)BN_bn2bin(n, at + 4 + pad);
    return 4 + total;
}

static const char *ssh_public(struct arena *a, const EVP_PKEY *key)
{
    _cleanup_(bn_freep) BIGNUM *n = NULL;
    _cleanup_(bn_freep) BIGNUM *e = NULL;
    unsigned char blob[1024] = { 0, 0, 0, 7, 's', 's', 'h', '-', 'r', 's', 'a' };
    if (EVP_PKEY_get_bn_param(key, "n", &n) != 1 || EVP_PKEY_get_bn_param(key, "e", &e) != 1)
        return NULL;
    size_t size = 11;
    size += put_number(blob + size, e);
    size += put_number(blob + size, n);
    unsigned char *text = arena_alloc(a, size * 2);
    if (!text)
        return NULL;
    (void)EVP_EncodeBlock(text, blob, (int)size);
    return arena_printf(a, "ssh-rsa %s Generated-by-Yunduo", (char *)text);
}

static const char *bio_text(struct arena *a, BIO *b)
{
    char *data;
    long n = BIO_get_mem_data(b, &data);
    return n > 0 ? arena_strndup(a, data, (size_t)n) : NULL;
}

static const char *private_pem(struct arena *a, const EVP_PKEY *key)
{
    _cleanup_(bio_freep) BIO *b = BIO_new(BIO_s_mem());
    return b && PEM_write_bio_PrivateKey_traditional(b, key, NULL, NULL, 0, NULL, NULL) == 1 ? bio_text(a, b) : NULL;
}

/* ---- certificates, for guests that log in by them ---- */

static const char *x509_fingerprint(struct arena *a, const char *pem)
{
    _cleanup_(bio_freep) BIO *b = BIO_new_mem_buf(pem, -1);
    _cleanup_(x509_freep) X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    ERR_clear_error();
    return x && X509_digest(x, EVP_sha1(), digest, &n) == 1 ? hex_colons(a, digest, n) : NULL;
}

static const char *x509_self_signed(struct arena *a, EVP_PKEY *key, const char *user)
{
    _cleanup_(x509_freep) X509 *x = X509_new();
    _cleanup_(bio_freep) BIO *b = BIO_new(BIO_s_mem());
    uint64_t serial;
    random_bytes(&serial, sizeof(serial));
    if (!x || !b || X509_set_version(x, 2) != 1 || ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial >> 1) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(x), 0) ||
        !X509_gmtime_adj(X509_getm_notAfter(x), (long)X509_DAYS * 86400) || X509_set_pubkey(x, key) != 1)
        return NULL;
    X509_NAME *name = X509_get_subject_name(x);
    if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)user, -1, -1, 0) != 1 ||
        X509_set_issuer_name(x, name) != 1 || X509_sign(x, key, EVP_sha256()) == 0 || PEM_write_bio_X509(b, x) != 1)
        return NULL;
    return bio_text(a, b);
}

/* ---- verbs ---- */

struct keypair_in {
    const char *name, *type, *public_key, *user_id;
};

/* Letters that the API of old took; 2.92 adds '@' and '.'. */
static bool name_fine(const struct call *c, const char *name)
{
    for (const char *s = name; *s; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == ' ' ||
                      *s == '-' || *s == '_' || (c->minor >= 92 && (*s == '@' || *s == '.'));
        if (!letter)
            return false;
    }
    return *name && name[0] != ' ' && name[strlen(name) - 1] != ' ';
}

static const char *const KEY_TYPES[] = { "ssh", "x509", NULL };
static const struct field KEYPAIR_IN_ROWS[] = {
    { "name", FIELD_STRING, offsetof(struct keypair_in, name), IN_CREATE | REQUIRED, .min = 1, .max = 255,
      .doc = "Unique among the user's." },
    { "type", FIELD_STRING, offsetof(struct keypair_in, type), IN_CREATE, .values = KEY_TYPES, .since = 2,
      .doc = "ssh or x509." },
    { "public_key", FIELD_STRING, offsetof(struct keypair_in, public_key), IN_CREATE | NONEMPTY, .max = 65535,
      .doc = "To import; else a pair is made." },
    { "user_id", FIELD_STRING, offsetof(struct keypair_in, user_id), IN_CREATE, .since = 10,
      .doc = "Whose; administrators only." },
};
static SCHEMA(KEYPAIR_IN_SCHEMA, struct keypair_in, KEYPAIR_IN_ROWS);

static int whose(struct call *c, const char *asked, const char *rule, const char **ret)
{
    *ret = asked && c->minor >= 10 ? asked : c->auth->user_id;
    struct pair pairs[] = { { "user_id", *ret } };
    struct strmap target = { pairs, 1, 1 };
    return call_require(c, rule, &target);
}

struct making {
    struct keypair key;
    const char *private_key;
};

static void render_body(struct call *c, const struct keypair *k, bool full)
{
    json_put_string(&c->out, "name", k->name);
    json_put_string(&c->out, "public_key", k->public_key);
    json_put_string(&c->out, "fingerprint", k->fingerprint);
    if (c->minor >= 2)
        json_put_string(&c->out, "type", k->type);
    if (!full)
        return;
    json_put_string(&c->out, "user_id", k->user_id);
}

static int make_pair(struct call *c, struct making *m)
{
    struct keypair *k = &m->key;
    _cleanup_(pkey_freep) EVP_PKEY *key = EVP_RSA_gen(KEY_BITS);
    if (!key)
        return -EIO;
    m->private_key = private_pem(c->arena, key);
    bool ssh = STREQ(k->type, "ssh");
    k->public_key = ssh ? ssh_public(c->arena, key) : x509_self_signed(c->arena, key, k->user_id);
    return m->private_key && k->public_key ? 0 : -EIO;
}

static int keypair_write(struct call *c)
{
    struct making *m = c->data;
    struct query q = { .kind = &KEYPAIR_KIND };
    uint64_t n;
    int64_t limit;
    if (!query_where(&q, c->arena, "user_id", Q_EQ, m->key.user_id))
        return -ENOMEM;
    int r = txn_count(c->txn, &q, &n);
    r = r ? r : quota_limit(c->txn, &COMPUTE_QUOTAS, str_or(c->auth->project_id, ""), "key_pairs", &limit);
    r = r ? r : sequence_next(c->txn, "keypair", &m->key.number);
    if (r < 0)
        return r;
    if (limit >= 0 && n >= (uint64_t)limit)
        return call_fault(c, 403, "KeypairLimitExceeded", "Quota exceeded, too many key pairs.");
    r = txn_put(c->txn, &KEYPAIR_KIND, &m->key);
    if (r == TXN_TAKEN)
        return call_fault(c, 409, "KeyPairExists", "Key pair '%s' already exists.", m->key.name);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "keypair");
    render_body(c, &m->key, true);
    if (m->private_key)
        json_put_string(&c->out, "private_key", m->private_key);
    json_close_object(&c->out);
    json_close_object(&c->out);
    if (c->minor >= 2)
        c->status = 201;
    return 0;
}

static int keypair_create(struct call *c)
{
    const struct keypair_in *in = c->in;
    struct making m = { .key = { .name = in->name, .type = str_or(in->type, "ssh"), .public_key = in->public_key,
                                 .created_at = clock_wall() } };
    struct keypair *k = &m.key;
    int r = whose(c, in->user_id, "os_compute_api:os-keypairs:create", &k->user_id);
    if (r)
        return r;
    if (!name_fine(c, k->name))
        return call_fault(c, 400, "InvalidKeypair", "Keypair data is invalid: Keypair name contains unsafe characters");
    if (!k->public_key && c->minor >= 92)
        return call_fault(c, 400, "ValidationError", "Invalid input for field/attribute keypair. 'public_key' is a "
                          "required property");
    if (!k->public_key)
        r = make_pair(c, &m);
    if (r)
        return r;
    k->fingerprint = STREQ(k->type, "ssh") ? ssh_fingerprint(c->arena, k->public_key)
                                           : x509_fingerprint(c->arena, k->public_key);
    if (!k->fingerprint)
        return call_fault(c, 400, "InvalidKeypair", "Keypair data is invalid: failed to generate fingerprint");
    k->head.id = uuid_new(c->arena);
    c->data = &m;
    return call_write(c, keypair_write);
}

static int find(struct call *c, const char *rule, struct keypair **ret)
{
    const char *user, *name = call_param(c, "name");
    int r = whose(c, call_arg(c, "user_id"), rule, &user);
    r = r ? r : txn_find_by(c->txn, &KEYPAIR_KIND, "user_name", arena_printf(c->arena, "%s/%s", user, name), ret);
    if (r == 0 && !*ret)
        return call_fault(c, 404, "KeypairNotFound", "Keypair %s not found for user %s", name, user);
    return r;
}

static int keypair_show(struct call *c)
{
    struct keypair *k;
    int r = call_read(c);
    r = r ? r : find(c, "os_compute_api:os-keypairs:show", &k);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_object(&c->out, "keypair");
    render_body(c, k, true);
    compute_put_time(&c->out, "created_at", k->created_at, TIME_ISO_MICRO);
    json_put_bool(&c->out, "deleted", false);
    json_put_null(&c->out, "deleted_at");
    json_put_int(&c->out, "id", k->number);
    json_put_null(&c->out, "updated_at");
    json_close_object(&c->out);
    json_close_object(&c->out);
    return 0;
}

static int keypair_list(struct call *c)
{
    struct query q = { .kind = &KEYPAIR_KIND };
    struct results l = { 0 };
    const char *user, *marker = NULL, *last = NULL;
    int r = whose(c, call_arg(c, "user_id"), "os_compute_api:os-keypairs:index", &user);
    if (r == 0 && c->minor >= 35)
        r = compute_page(c, &q.limit, &marker);
    r = r ? r : call_read(c);
    if (r)
        return r;
    if (!query_where(&q, c->arena, "user_id", Q_EQ, user) || !query_sort(&q, c->arena, "name", false))
        return -ENOMEM;
    if (marker) {
        struct keypair *at;
        r = txn_find_by(c->txn, &KEYPAIR_KIND, "user_name", arena_printf(c->arena, "%s/%s", user, marker), &at);
        if (r == 0 && !at)
            return call_fault(c, 400, "MarkerNotFound", "Marker %s could not be found.", marker);
        q.marker = r == 0 ? at->head.id : NULL;
    }
    r = r ? r : txn_list(c->txn, &q, &l);
    if (r)
        return r;
    json_open_object(&c->out);
    json_put_array(&c->out, "keypairs");
    for (size_t i = 0; i < l.n; i++) {
        const struct keypair *k = l.v[i];
        json_open_object(&c->out);
        json_put_object(&c->out, "keypair");
        render_body(c, k, false);
        json_close_object(&c->out);
        json_close_object(&c->out);
        last = k->name;
    }
    json_close_array(&c->out);
    if (c->minor >= 35)
        compute_next_link(c, "keypairs", l.more, last, &c->out);
    json_close_object(&c->out);
    return 0;
}

static int keypair_remove(struct call *c)
{
    struct keypair *k;
    int r = find(c, "os_compute_api:os-keypairs:delete", &k);
    c->status = c->minor >= 2 ? 204 : 202;
    return r ? r : txn_delete(c->txn, &KEYPAIR_KIND, k->head.id);
}

static int keypair_delete(struct call *c)
{
    return call_write(c, keypair_remove);
}

#define P "/v2.1/os-keypairs"
static const struct route KEYPAIR_ROUTES[] = {
    { "GET", P, keypair_list, NULL, 0, .doc = "The user's keypairs." },
    { "POST", P, keypair_create, NULL, 0, .wrap = "keypair", .body = &KEYPAIR_IN_SCHEMA, .mode = DECODE_CREATE,
      .doc = "Makes or imports one." },
    { "GET", P "/{name}", keypair_show, NULL, 0, .doc = "One keypair." },
    { "DELETE", P "/{name}", keypair_delete, NULL, 0, .status = 202, .doc = "Deletes it; servers keep their key." },
};
#define OWN "role:admin or user_id:%(user_id)s"
static const struct policy_rule KEYPAIR_RULES[] = {
    { "os_compute_api:os-keypairs:index", OWN, "List keypairs." },
    { "os_compute_api:os-keypairs:create", OWN, "Make a keypair." },
    { "os_compute_api:os-keypairs:show", OWN, "See a keypair." },
    { "os_compute_api:os-keypairs:delete", OWN, "Delete a keypair." },
};
COMPUTE_PART(KEYPAIR_PART, KEYPAIR_ROUTES, KEYPAIR_RULES);
