import { constants } from 'node:fs'

/**
 * How a name below the root of a store is opened. Whoever may write there may have planted anything under it: a link is not followed
 * (`ELOOP`), and a FIFO or a device is not waited for. Whoever opens it looks at what it is before he reads: a FIFO opens well.
 */
export const UNFOLLOWED = constants.O_NOFOLLOW | constants.O_NONBLOCK
export const READ_UNFOLLOWED = constants.O_RDONLY | UNFOLLOWED

/** The same for a folder; the root of a store may be a link. What is none is `ENOTDIR`. */
export const READ_FOLDER = constants.O_RDONLY | constants.O_DIRECTORY
