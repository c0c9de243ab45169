/*
 * IP and MAC addresses as numbers, both families alike.
 */
#ifndef YUNDUO_NETWORK_ADDRESS_H
#define YUNDUO_NETWORK_ADDRESS_H

#include "base/arena.h"

typedef unsigned __int128 ip_number;

struct ip {
    int version; /* 4 or 6 */
    ip_number n;
};
struct cidr {
    struct ip first; /* network address */
    int prefix;
};

/* Strict text, no prefix length. */
bool ip_parse(const char *text, struct ip *ret);
/* Canonical text (RFC 5952). */
const char *ip_text(struct arena *a, struct ip ip);
/* "10.0.0.0/24"; without '/' a host's own. 'exact': bits beyond the prefix must be zero. */
bool cidr_parse(const char *text, bool exact, struct cidr *ret);
const char *cidr_text(struct arena *a, struct cidr c);
int ip_bits(int version);
struct ip cidr_last(struct cidr c);
bool cidr_has(struct cidr c, struct ip ip);
bool cidr_overlap(struct cidr a, struct cidr b);
/* How many addresses, at most UINT64_MAX. */
uint64_t cidr_size(struct cidr c);
bool mac_parse(const char *text, uint8_t out[6]);
/* Lower case, with colons; null when it is none. */
const char *mac_text(struct arena *a, const char *text);
/* A new one under this prefix ("fa:16:3e"). */
const char *mac_random(struct arena *a, const char *prefix);
/* The address that SLAAC makes of a MAC (RFC 4291, appendix A). */
bool ip_eui64(struct cidr net, const char *mac, struct ip *ret);

/* Checks for rows (base/field.h): null, or the rest of the sentence. */
const char *check_ip(const char *s);
const char *check_cidr(const char *s);
const char *check_mac(const char *s);
const char *check_ip_or_cidr(const char *s);

#endif
