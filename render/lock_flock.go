//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package render

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock of a directory, which the system gives back when the
// process ends, however it ends. It reports false if another has it. A file
// system without such locks gives it to everybody.
func tryLock(dir *os.File) (bool, error) {
	for {
		switch err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
		case err == nil, errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EBADF), errors.Is(err, syscall.ENOLCK):
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, &os.PathError{Op: "lock", Path: dir.Name(), Err: err}
		}
	}
}
