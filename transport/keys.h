/* SPDX-License-Identifier: Apache-2.0
 * Key files as text, and the list of those who are let in. Private to transport. */
#ifndef TRANSPORT_KEYS_H
#define TRANSPORT_KEYS_H

#include "braid/transport.h"

enum { KEY_FILE_BYTES = 4 << 10, ALLOWED_FILE_BYTES = 1 << 20, ALLOWED_MAX = 1024 };

/* Pure (the fuzz targets). A key file is blank lines, comments ("# ...") and one line of 40 characters. */
BRAID_NODISCARD enum braid_status key_parse(const char *text, size_t size, char key[BRAID_KEY_BYTES]);
bool key_name_ok(const char *name);

struct allowed_entry {
  char name[BRAID_KEY_NAME_BYTES], key[BRAID_KEY_BYTES];
};
/* Lines of NAME and KEY, blank lines and comments; each name and each key once. *entry: an array for braid_free, NULL
 * for an empty list. */
BRAID_NODISCARD enum braid_status allowed_parse(const char *text, size_t size, struct allowed_entry **entry, int *n);

/* The whole file as text with a NUL behind it, for braid_free. `secret`: refuse one that others may read. */
BRAID_NODISCARD enum braid_status key_file_read(const char *path, bool secret, size_t max_bytes, char **text,
                                                size_t *size);
/* Overwrites, then frees. */
void key_text_free(char *text, size_t size);

/* The list as it is in its file. A file that cannot be read lets nobody new in. */
struct allowed;
BRAID_NODISCARD enum braid_status allowed_open(const char *path, struct allowed **out);
void allowed_close(struct allowed **allowed);
/* Reads the file again if it has changed; *changed then. A failure is told once (BRAID_OK after that) and leaves the
 * list unreadable until the file changes again. */
BRAID_NODISCARD enum braid_status allowed_refresh(struct allowed *allowed, bool *changed);
bool allowed_readable(const struct allowed *allowed);
const char *allowed_name(const struct allowed *allowed, const char *key); /* NULL: not in the list */

#endif
