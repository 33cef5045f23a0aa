/** What the transfer threads can do, by name. */
export { packBlobs } from './pack.ts'
export { discardBlobs, placeBlobs } from './place.ts'
export { receiveMany, receiveOne } from './receive.ts'
