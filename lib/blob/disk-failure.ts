import { type ErrorCode, GeoError, messageOf } from '../errors.ts'

/** What went wrong with a file, in a form that crosses threads. */
export interface DiskFailure {
  readonly code: ErrorCode
  readonly message: string
}

const BY_ERRNO: Readonly<Record<string, ErrorCode>> = Object.freeze({
  ENOENT: 'FILE_MISSING',
  ENOTDIR: 'FILE_MISSING',
  EISDIR: 'NOT_A_FILE',
  ELOOP: 'KEY_OUTSIDE_ROOT',
  ENAMETOOLONG: 'INVALID_KEY',
  ENOSPC: 'STORAGE_FULL',
  EDQUOT: 'STORAGE_FULL',
})

/** The code and message for anything thrown while a file was read or written. */
export function failureOf(reason: unknown, key: string): DiskFailure {
  if (reason instanceof GeoError) return { code: reason.code, message: reason.message }
  const errno = (reason as NodeJS.ErrnoException).code ?? ''
  const code = BY_ERRNO[errno] ?? 'STORAGE_ERROR'
  return { code, message: `${messageOf(reason)} (${key})` }
}
