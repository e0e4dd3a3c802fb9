/* Inside imap: a scanner over one response that is complete in memory. */
#ifndef IMAP_IMAP_INT_H
#define IMAP_IMAP_INT_H

#include "imap/imap.h"

struct imap_scan {
    struct slice rest;   /* without the CRLF at the end */
    struct buf *scratch; /* reserved to the length of the whole: never moves */
};

bool imap_scan_char(struct imap_scan *s, char c); /* takes it if it is next */
bool imap_scan_blank(struct imap_scan *s);        /* takes blanks; true if there was one */
/* Up to a blank, parenthesis, bracket or quote; empty if there is none. */
struct slice imap_scan_atom(struct imap_scan *s);
bool imap_scan_number(struct imap_scan *s, uint32_t *ret);
/* Quoted, literal, literal8 or (as sloppy servers send) an atom. NIL gives `*ret_is_nil`. */
bool imap_scan_string(struct imap_scan *s, struct slice *ret, bool *ret_is_nil);
bool imap_scan_skip(struct imap_scan *s); /* one value of any kind, lists with all that is inside */

bool imap_fetch_parse(struct imap_scan *s, struct imap_response *ret);

/* imap_namespace.c */
bool imap_namespace_parse(struct imap_scan *s, struct imap_response *ret);
bool imap_status_parse(struct imap_scan *s, struct imap_response *ret); /* APPENDLIMIT only */

void imap_append_limit_take(struct slice number, struct imap_response *ret);

#endif
