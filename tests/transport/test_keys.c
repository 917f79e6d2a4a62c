/* SPDX-License-Identifier: Apache-2.0
 * The folder of keys: what is made, what is read, what is refused and how that is told. */
#include "link_testing.h"

#include "keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void make_dir(void) {
  snprintf(dir, sizeof dir, "/tmp/braid-keys-XXXXXX");
  cr_assert(mkdtemp(dir));
}

static const char *at(const char *rest) {
  static char path[160];
  snprintf(path, sizeof path, "%s/%s", dir, rest);
  return path;
}

static void remove_dir(void) {
  static const char *const files[] = {"cloud.key",   "cloud.pub",   "edges/a.key", "edges/a.pub",
                                      "edges/b.key", "edges/b.pub", "allowed"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(at(files[i]));
  rmdir(at("edges"));
  rmdir(dir);
}

static void write_text(const char *file, const char *text) {
  FILE *out = fopen(at(file), "w");
  cr_assert(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static unsigned mode_of(const char *file) {
  struct stat st;
  cr_assert_eq(stat(at(file), &st), 0, "%s", file);
  return st.st_mode & 0777;
}

static void make_all(void) {
  bool made = false;
  cr_assert_eq(braid_keys_make_cloud(dir, &made), BRAID_OK, "%s", braid_error());
  cr_assert(made);
  cr_assert_eq(braid_keys_make_edge(dir, "a", &made), BRAID_OK, "%s", braid_error());
  cr_assert(made);
}

static void expect_failure(enum braid_status got, enum braid_status wanted, const char *text) {
  cr_assert_eq(got, wanted, "%s: %s", braid_status_text(got), braid_error());
  cr_assert(strstr(braid_error(), text), "'%s' is not in '%s'", text, braid_error());
}

TestSuite(keys, .init = make_dir, .fini = remove_dir);

Test(keys, pairs_that_fit_and_secrets_that_only_the_owner_reads) {
  struct braid_link_keys cloud, edge;
  make_all();
  cr_assert_eq(mode_of("cloud.key"), 0600);
  cr_assert_eq(mode_of("edges/a.key"), 0600);
  cr_assert_eq(braid_keys_read_cloud(dir, &cloud), BRAID_OK, "%s", braid_error());
  cr_assert_eq(braid_keys_read_edge(dir, "a", &edge), BRAID_OK, "%s", braid_error());
  cr_assert_str_eq(edge.server_key, cloud.public_key);
  cr_assert(strcmp(edge.public_key, cloud.public_key) != 0 && strcmp(edge.secret_key, cloud.secret_key) != 0);
  struct allowed *allowed = NULL;
  cr_assert_eq(allowed_open(cloud.allowed, &allowed), BRAID_OK, "%s", braid_error());
  cr_assert_str_eq(allowed_name(allowed, edge.public_key), "a");
  cr_assert_null(allowed_name(allowed, cloud.public_key));
  allowed_close(&allowed);
  braid_keys_wipe(&cloud);
  braid_keys_wipe(&edge);
  static const struct braid_link_keys zero;
  cr_assert_eq(memcmp(&edge, &zero, sizeof zero), 0, "a wiped key is still there");
}

Test(keys, nothing_is_overwritten) {
  struct braid_link_keys before, after;
  bool made = true;
  make_all();
  cr_assert_eq(braid_keys_read_edge(dir, "a", &before), BRAID_OK);
  write_text("allowed", "# a was locked out\n");
  cr_assert_eq(braid_keys_make_cloud(dir, &made), BRAID_OK);
  cr_assert(!made);
  cr_assert_eq(braid_keys_make_edge(dir, "a", &made), BRAID_OK);
  cr_assert(!made);
  cr_assert_eq(braid_keys_read_edge(dir, NULL, &after), BRAID_OK, "%s", braid_error());
  cr_assert_str_eq(before.secret_key, after.secret_key);
  cr_assert_str_eq(before.server_key, after.server_key);
  struct allowed *allowed = NULL;
  cr_assert_eq(allowed_open(at("allowed"), &allowed), BRAID_OK);
  cr_assert_null(allowed_name(allowed, after.public_key), "who was locked out stays so");
  allowed_close(&allowed);
  braid_keys_wipe(&before);
  braid_keys_wipe(&after);
}

Test(keys, an_edge_among_several_must_be_named) {
  struct braid_link_keys keys;
  bool made;
  make_all();
  cr_assert_eq(braid_keys_make_edge(dir, "b", &made), BRAID_OK);
  expect_failure(braid_keys_read_edge(dir, NULL, &keys), BRAID_EINVAL, "2 keys");
  cr_assert_eq(braid_keys_read_edge(dir, "b", &keys), BRAID_OK, "%s", braid_error());
  braid_keys_wipe(&keys);
  expect_failure(braid_keys_read_edge(dir, "c", &keys), BRAID_ENOTFOUND, "edges/c.key");
  expect_failure(braid_keys_make_edge(dir, "../c", &made), BRAID_EINVAL, "../c");
  expect_failure(braid_keys_make_edge(dir, "", &made), BRAID_EINVAL, "cannot name an edge");
}

Test(keys, what_others_can_read_is_no_secret) {
  struct braid_link_keys keys;
  make_all();
  cr_assert_eq(chmod(at("cloud.key"), 0640), 0);
  expect_failure(braid_keys_read_cloud(dir, &keys), BRAID_EINVAL, "chmod 600");
  cr_assert_eq(chmod(at("cloud.key"), 0400), 0);
  cr_assert_eq(braid_keys_read_cloud(dir, &keys), BRAID_OK, "%s", braid_error());
  braid_keys_wipe(&keys);
}

Test(keys, files_that_are_no_keys_are_named) {
  struct braid_link_keys keys;
  make_all();
  write_text("cloud.pub", "hello\n");
  expect_failure(braid_keys_read_edge(dir, "a", &keys), BRAID_EFORMAT, "cloud.pub: line 1");
  cr_assert_eq(unlink(at("cloud.pub")), 0);
  expect_failure(braid_keys_read_edge(dir, "a", &keys), BRAID_ENOTFOUND, "cloud.pub");
  cr_assert_eq(mkdir(at("cloud.pub"), 0700), 0);
  expect_failure(braid_keys_read_edge(dir, "a", &keys), BRAID_EINVAL, "not a file");
  cr_assert_eq(rmdir(at("cloud.pub")), 0);
  FILE *big = fopen(at("cloud.pub"), "w");
  cr_assert(big && fseek(big, 1 << 20, SEEK_SET) == 0 && fputc('x', big) == 'x' && fclose(big) == 0);
  expect_failure(braid_keys_read_edge(dir, "a", &keys), BRAID_EFORMAT, "at most 4096");
}

/* From the ZeroMQ RFC 32's own example: 32 bytes that are a key for our purposes. */
#define KEY_A "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
#define KEY_B "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"

Test(key_text, keys_are_forty_characters_on_a_line_of_their_own) {
  static const struct {
    const char *text;
    bool good;
  } cases[] = {
      {KEY_A, true},
      {KEY_A "\n", true},
      {"# a comment\n\n  \t" KEY_A " \r\n# another\n", true},
      {"", false},
      {"#" KEY_A, false},
      {KEY_A "x", false},
      {KEY_A "\n" KEY_B, false},
      {KEY_A " " KEY_B, false},
      {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf", false},
      {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf~", false},
      {"########################################", false},
      {"@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@", true},
      {"$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$$", false}, /* five of them are over 2^32 */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char key[BRAID_KEY_BYTES];
    enum braid_status status = key_parse(cases[i].text, strlen(cases[i].text), key);
    cr_assert_eq(status, cases[i].good ? BRAID_OK : BRAID_EFORMAT, "'%s': %s", cases[i].text, braid_error());
  }
}

static void expect_list(const char *text, enum braid_status wanted, int n_wanted, const char *why) {
  struct allowed_entry *entry = NULL;
  int n = -1;
  enum braid_status status = allowed_parse(text, strlen(text), &entry, &n);
  cr_assert_eq(status, wanted, "'%s': %s", text, braid_error());
  cr_assert_eq(n, n_wanted);
  cr_assert(!why || strstr(braid_error(), why), "'%s' is not in '%s'", why, braid_error());
  braid_free(entry);
}

Test(key_text, lists_say_in_which_line_they_are_wrong) {
  expect_list("", BRAID_OK, 0, NULL);
  expect_list("# nobody\n\n", BRAID_OK, 0, NULL);
  expect_list("a " KEY_A "\n\tb  " KEY_B, BRAID_OK, 2, NULL);
  expect_list("\na\n", BRAID_EFORMAT, 0, "line 2: 1 words");
  expect_list("a " KEY_A " x\n", BRAID_EFORMAT, 0, "line 1: 3 words");
  expect_list("a " KEY_A "\na " KEY_B "\n", BRAID_EFORMAT, 0, "line 2: 'a' has");
  expect_list("a " KEY_A "\nb " KEY_A "\n", BRAID_EFORMAT, 0, "the key of 'a'");
  expect_list("a/b " KEY_A "\n", BRAID_EFORMAT, 0, "bad name");
  expect_list("a " KEY_A "y\n", BRAID_EFORMAT, 0, "the key of 'a' is not a key");
}

Test(keys, the_list_is_read_again_when_it_changes) {
  struct allowed *allowed = NULL;
  bool changed = true;
  write_text("allowed", "a " KEY_A "\n");
  cr_assert_eq(allowed_open(at("allowed"), &allowed), BRAID_OK, "%s", braid_error());
  cr_assert_eq(allowed_refresh(allowed, &changed), BRAID_OK);
  cr_assert(!changed);
  write_text("allowed", "a " KEY_A "\nb " KEY_B "\n");
  cr_assert_eq(allowed_refresh(allowed, &changed), BRAID_OK);
  cr_assert(changed && allowed_readable(allowed));
  cr_assert_str_eq(allowed_name(allowed, KEY_B), "b");
  write_text("allowed", "what is this?\n");
  expect_failure(allowed_refresh(allowed, &changed), BRAID_EFORMAT, "allowed: line 1");
  cr_assert(!allowed_readable(allowed));
  cr_assert_null(allowed_name(allowed, KEY_A), "a list that cannot be read lets nobody in");
  cr_assert_eq(allowed_refresh(allowed, &changed), BRAID_OK, "told once");
  cr_assert_eq(unlink(at("allowed")), 0);
  expect_failure(allowed_refresh(allowed, &changed), BRAID_ENOTFOUND, "allowed");
  write_text("allowed", "b " KEY_B "\n");
  cr_assert_eq(allowed_refresh(allowed, &changed), BRAID_OK);
  cr_assert_null(allowed_name(allowed, KEY_A));
  cr_assert_str_eq(allowed_name(allowed, KEY_B), "b");
  allowed_close(&allowed);
}
