/* Image files for tests: a scratch folder that goes with the process, qemu-img, tar. */
#ifndef YUNDUO_TESTS_IMAGE_FILES_H
#define YUNDUO_TESTS_IMAGE_FILES_H

#include "base/macro.h"

/* A folder of this process, removed at its end. */
const char *files_folder(void);
/* Path of a file there; the text is overwritten by the eighth call after. */
const char *files_path(const char *name);
void files_write(const char *name, const void *data, size_t n);
/* The whole file, malloc'ed. */
char *files_read(const char *name, size_t *ret_n);
/* Changes bytes in place. */
void files_patch(const char *name, long off, const void *data, size_t n);
/* Runs qemu-img with these words; a word that begins with '@' is a file of the folder. */
void files_qemu_img(const char *const *words);
#define QEMU_IMG(...) files_qemu_img((const char *const[]){ "qemu-img", __VA_ARGS__, NULL })
/* Appends a member to a tar at 'out' (of 'cap' bytes, 'n' used); returns the new length. */
size_t files_tar_add(char *out, size_t n, size_t cap, const char *name, const void *data, size_t size);

#endif
