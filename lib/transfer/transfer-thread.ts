import { standBack } from '../background-priority.ts'

standBack()

/** What the transfer threads can do, by name. */
export { packBlobs } from './pack.ts'
export { discardBlobs, placeBlobs, syncFile } from './place.ts'
export { postJson } from './post.ts'
export { findPresent } from './present.ts'
export { probeStore } from './probe-store.ts'
export { receiveMany } from './receive-many.ts'
export { receiveOne } from './receive-one.ts'
