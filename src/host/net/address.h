/*
 * Addresses as numbers: whatever enters a rule or a configuration file is read here first
 * and written from the bytes, so no text of a message reaches those files as it came.
 *
 * One form serves both families: 16 bytes, of which IPv4 uses the first four, and a range
 * from 'lo' to 'hi' inclusive. A single address has lo equal to hi.
 */
#ifndef YUNDUO_HOST_NET_ADDRESS_H
#define YUNDUO_HOST_NET_ADDRESS_H

#include "base/buf.h"
#include "base/vec.h"

#include <net/ethernet.h>
#include <netinet/in.h>

struct ip {
    int family;                     /* AF_INET, AF_INET6; 0: none */
    uint8_t bytes[16];
};

struct ip_range {
    int family;
    uint8_t lo[16], hi[16];
};

typedef VEC_OF(struct ip_range) ip_ranges;

enum { IP_TEXT_SIZE = 48, MAC_TEXT_SIZE = 18 };

/* "10.0.0.1" or "fe80::1"; no zone, no prefix. */
bool ip_parse(const char *text, struct ip *ret);
/* "10.0.0.1/24": the address as given and the prefix length; without a slash the full length. */
bool ip_parse_prefix(const char *text, struct ip *ret, int *ret_prefix);
/* An address or a cidr as the range it covers (host bits are ignored). */
bool ip_range_parse(const char *text, struct ip_range *ret);
bool ip_range_has(const struct ip_range *r, const struct ip *ip);
static inline size_t ip_size(int family)
{
    return family == AF_INET ? 4 : 16;
}
bool ip_equal(const struct ip *a, const struct ip *b);
char *ip_text(const struct ip *ip, char out[IP_TEXT_SIZE]);
/* The first address of the prefix that 'ip' lies in. */
struct ip ip_network(const struct ip *ip, int prefix);
/* Sorts and joins: disjoint, not adjacent, ascending; both families may be mixed. */
void ip_ranges_merge(ip_ranges *l);
bool ip_ranges_have(const ip_ranges *l, const struct ip *ip);
/* As nft writes it: "10.0.0.1", "10.0.0.0/24" or "10.0.0.1-10.0.0.9". */
void ip_range_print(struct buf *out, const struct ip_range *r);

/* Six pairs of hex digits with colons. */
bool mac_parse(const char *text, uint8_t ret[ETH_ALEN]);
char *mac_text(const uint8_t mac[ETH_ALEN], char out[MAC_TEXT_SIZE]);
/* fe80:: with the modified EUI-64 of the MAC. */
struct ip mac_link_local(const uint8_t mac[ETH_ALEN]);

#endif
