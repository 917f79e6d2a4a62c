/* SPDX-License-Identifier: Apache-2.0
 * Key files and allow-lists as text. Pure: they read `size` bytes and nothing else. */
#include <ctype.h>
#include <string.h>
#include <zmq.h>

#include "keys.h"

enum { KEY_CHARS = BRAID_KEY_BYTES - 1, KEY_BINARY = 32 };

bool key_name_ok(const char *name) {
  size_t n = strlen(name);
  if (n == 0 || n >= BRAID_KEY_NAME_BYTES || name[0] == '.') return false;
  for (const char *p = name; *p; p++)
    if (!isascii((unsigned char)*p) || (!isalnum((unsigned char)*p) && !strchr("-_.", *p))) return false;
  return true;
}

/* Forty Z85 characters that are 32 bytes; other texts of that length overflow. */
static bool take_key(const char *word, size_t length, char key[BRAID_KEY_BYTES]) {
  uint8_t binary[KEY_BINARY];
  char text[BRAID_KEY_BYTES];
  if (length != KEY_CHARS) return false;
  for (size_t i = 0; i < length; i++)
    if (word[i] <= ' ' || word[i] >= 0x7f) return false;
  memcpy(text, word, KEY_CHARS);
  text[KEY_CHARS] = '\0';
  bool good = zmq_z85_decode(binary, text) != NULL;
  if (good) memcpy(key, text, sizeof text);
  explicit_bzero(binary, sizeof binary);
  explicit_bzero(text, sizeof text);
  return good;
}

/* ------------------------------------------------------------------------------------------------- lines */

struct lines {
  const char *at, *end;
  int number; /* of the line taken last */
};

struct word {
  const char *text;
  size_t length;
};

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

static struct word take_word(const char **at, const char *end) {
  while (*at < end && is_blank(**at)) ++*at;
  struct word w = {*at, 0};
  while (*at < end && !is_blank(**at)) ++*at;
  w.length = (size_t)(*at - w.text);
  return w;
}

/* The words of the next line that has any, at most `max` of them stored and all counted; 0 at the end of the text. */
static int next_line(struct lines *lines, struct word *word, int max) {
  while (lines->at < lines->end) {
    const char *newline = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    const char *at = lines->at, *end = newline ? newline : lines->end;
    lines->at = newline ? newline + 1 : lines->end;
    lines->number++;
    int n = 0;
    for (struct word w; (w = take_word(&at, end)).length > 0; n++) {
      if (n == 0 && w.text[0] == '#') break; /* no key begins so: five characters from "#" on are over 2^32 */
      if (n < max) word[n] = w;
    }
    if (n > 0) return n;
  }
  return 0;
}

/* --------------------------------------------------------------------------------------------------- files */

enum braid_status key_parse(const char *text, size_t size, char key[BRAID_KEY_BYTES]) {
  struct lines lines = {text, text + size, 0};
  struct word word;
  if (next_line(&lines, &word, 1) != 1 || !take_key(word.text, word.length, key))
    return braid_fail(BRAID_EFORMAT, "line %d: not a key (40 characters of Z85, as 'braid keys' writes it)",
                      lines.number);
  if (next_line(&lines, &word, 1) == 0) return BRAID_OK;
  explicit_bzero(key, BRAID_KEY_BYTES);
  return braid_fail(BRAID_EFORMAT, "line %d: more than one key", lines.number);
}

static enum braid_status take_entry(const struct word word[2], int n_words, int line, struct allowed_entry *entry) {
  if (n_words != 2) return braid_fail(BRAID_EFORMAT, "line %d: %d words; write NAME KEY", line, n_words);
  size_t length = word[0].length < sizeof entry->name ? word[0].length : sizeof entry->name - 1;
  memcpy(entry->name, word[0].text, length);
  entry->name[length] = '\0';
  if (length != word[0].length || strlen(entry->name) != length || !key_name_ok(entry->name))
    return braid_fail(BRAID_EFORMAT, "line %d: bad name; 1 to 63 letters, digits, '-', '_' or '.'", line);
  if (!take_key(word[1].text, word[1].length, entry->key))
    return braid_fail(BRAID_EFORMAT, "line %d: the key of '%s' is not a key (40 characters of Z85)", line, entry->name);
  return BRAID_OK;
}

static enum braid_status check_new(const struct allowed_entry *entry, int n, int line) {
  for (int i = 0; i < n; i++)
    if (strcmp(entry[i].name, entry[n].name) == 0 || strcmp(entry[i].key, entry[n].key) == 0)
      return braid_fail(BRAID_EFORMAT, "line %d: '%s' has the name or the key of '%s'", line, entry[n].name,
                        entry[i].name);
  return BRAID_OK;
}

static enum braid_status parse_lines(struct lines *lines, struct allowed_entry **entry, int *n) {
  struct word word[2];
  for (int n_words; (n_words = next_line(lines, word, 2)) > 0; ++*n) {
    if (*n == ALLOWED_MAX) return braid_fail(BRAID_EFORMAT, "line %d: more than %d names", lines->number, ALLOWED_MAX);
    if ((*n & (*n - 1)) == 0) { /* a power of two: full */
      struct allowed_entry *grown = braid_realloc(*entry, (*n ? 2 * (size_t)*n : 1) * sizeof *grown);
      if (!grown) return braid_fail(BRAID_ENOMEM, "no memory for a list of names");
      *entry = grown;
    }
    BRAID_TRY(take_entry(word, n_words, lines->number, &(*entry)[*n]));
    BRAID_TRY(check_new(*entry, *n, lines->number));
  }
  return BRAID_OK;
}

enum braid_status allowed_parse(const char *text, size_t size, struct allowed_entry **entry, int *n) {
  struct lines lines = {text, text + size, 0};
  *entry = NULL;
  *n = 0;
  enum braid_status status = parse_lines(&lines, entry, n);
  if (status == BRAID_OK) return status;
  braid_free(*entry);
  *entry = NULL;
  *n = 0;
  return status;
}
