/*
 * Signed images: the four img_signature* properties, as Glance and Nova know them.
 *
 *     img_signature                   the signature, base64
 *     img_signature_hash_method       SHA-224, SHA-256, SHA-384, SHA-512
 *     img_signature_key_type          RSA-PSS, DSA, ECC_SECT571K1, ... (any ECC_ name)
 *     img_signature_certificate_uuid  names a certificate
 *
 * The certificate is a file that the operator put in a folder, <uuid>.pem; a tenant can choose
 * among them and bring none. It must be valid in time. An image that names a signature but
 * can't be checked (no folder, no such file) is refused: to store it would say that it was.
 */
#include "image/internal.h"

#include "base/macro.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

struct verifier {
    EVP_MD_CTX *ctx;
    X509 *certificate;
    bool broken;
    unsigned char signature[4096];
    size_t signature_len;
};

static int refuse(struct fault *f, const char *reason)
{
    return fault_set(f, 400, "SignatureVerificationError", "Signature verification failed: %s", reason);
}

void verifier_free(struct verifier *v)
{
    if (!v)
        return;
    EVP_MD_CTX_free(v->ctx);
    X509_free(v->certificate);
    free(v);
}

static const EVP_MD *hash_method(const char *name)
{
    if (STREQ(name, "SHA-224"))
        return EVP_sha224();
    if (STREQ(name, "SHA-256"))
        return EVP_sha256();
    if (STREQ(name, "SHA-384"))
        return EVP_sha384();
    if (STREQ(name, "SHA-512"))
        return EVP_sha512();
    return NULL;
}

static bool decode_signature(struct verifier *v, const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n % 4 || n / 4 * 3 > sizeof(v->signature))
        return false;
    int len = EVP_DecodeBlock(v->signature, (const unsigned char *)text, (int)n);
    if (len < 0)
        return false;
    v->signature_len = (size_t)len - (text[n - 1] == '=') - (text[n - 2] == '=');
    return true;
}

static int load_certificate(struct image_state *s, struct verifier *v, const char *uuid, struct fault *f)
{
    if (!uuid_valid(uuid))
        return refuse(f, "img_signature_certificate_uuid is not a UUID.");
    if (!s->o.image_certificates)
        return refuse(f, "there are no certificates at this site.");
    char path[4096];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s.pem", s->o.image_certificates, uuid) >= sizeof(path))
        return -ENAMETOOLONG;
    FILE *file = fopen(path, "re");
    if (!file)
        return refuse(f, "the certificate is not known.");
    v->certificate = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    if (!v->certificate)
        return refuse(f, "the certificate can't be read.");
    time_t now = (time_t)(clock_wall() / SECONDS(1));
    if (X509_cmp_time(X509_get0_notBefore(v->certificate), &now) >= 0 ||
        X509_cmp_time(X509_get0_notAfter(v->certificate), &now) <= 0)
        return refuse(f, "the certificate is not valid now.");
    return 0;
}

static int begin(struct verifier *v, const char *key_type, const EVP_MD *md, struct fault *f)
{
    EVP_PKEY *key = X509_get0_pubkey(v->certificate);
    EVP_PKEY_CTX *pctx;
    int want = STREQ(key_type, "RSA-PSS")     ? EVP_PKEY_RSA
               : STREQ(key_type, "DSA")       ? EVP_PKEY_DSA
               : str_starts(key_type, "ECC_") ? EVP_PKEY_EC
                                              : 0;
    if (!want)
        return refuse(f, "img_signature_key_type is not known.");
    if (!key || EVP_PKEY_get_base_id(key) != want)
        return refuse(f, "the certificate's key is not of the type that img_signature_key_type says.");
    v->ctx = EVP_MD_CTX_new();
    if (!v->ctx || EVP_DigestVerifyInit(v->ctx, &pctx, md, NULL, key) != 1)
        return -ENOMEM;
    if (want == EVP_PKEY_RSA && (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) != 1 ||
                                 EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, md) != 1 ||
                                 EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_AUTO) != 1))
        return -EIO;
    return 0;
}

int verifier_new(struct image_state *s, const struct strmap *properties, struct verifier **ret,
                 struct fault *f)
{
    const char *signature = strmap_get(properties, "img_signature"),
               *method = strmap_get(properties, "img_signature_hash_method"),
               *key_type = strmap_get(properties, "img_signature_key_type"),
               *uuid = strmap_get(properties, "img_signature_certificate_uuid");
    *ret = NULL;
    /* As in Glance: only all four together make a signed image. */
    if (!signature || !method || !key_type || !uuid)
        return 0;
    _cleanup_(verifier_freep) struct verifier *v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    const EVP_MD *md = hash_method(method);
    if (!md)
        return refuse(f, "img_signature_hash_method is not known.");
    if (!decode_signature(v, signature))
        return refuse(f, "img_signature is not base64.");
    int r = load_certificate(s, v, uuid, f);
    if (r == 0)
        r = begin(v, key_type, md, f);
    if (r == 0)
        *ret = TAKE_PTR(v);
    return r;
}

void verifier_update(struct verifier *v, const void *data, size_t n)
{
    if (EVP_DigestVerifyUpdate(v->ctx, data, n) != 1)
        v->broken = true;
}

int verifier_check(struct verifier *v, struct fault *f)
{
    if (v->broken)
        return -EIO;
    if (EVP_DigestVerifyFinal(v->ctx, v->signature, v->signature_len) != 1)
        return refuse(f, "the bytes are not what was signed.");
    return 0;
}
