import type { Ledger } from '../ledger.ts'

/** Rows of a statement, by a plain client. */
export type Query = <Row>(statement: string, values?: readonly unknown[]) => Promise<Row[]>

export interface SecondaryScene {
  readonly name: string
  readonly blobsDir: string
  readonly tracking: Query
  /** When processes of it were killed, or its store could not be changed any more, as epoch in milliseconds. */
  readonly brokenOff: readonly number[]
}

/** What a process of a site has written, and how it ended without being told to. */
export interface ProcessScene {
  readonly name: string
  readonly output: string
  readonly ends: readonly string[]
}

/** All that checks look at: from outside, as a stranger would. Nothing here is a thing of the SDK. */
export interface Scene {
  /** What the host was told. */
  readonly ledger: Ledger
  readonly primary: { readonly blobsDir: string; readonly main: Query }
  readonly secondaries: readonly SecondaryScene[]
  readonly processes: readonly ProcessScene[]
  /** What was found under final names while they were watched. */
  readonly torn: readonly string[]
  readonly transfers: { readonly capacity: number; readonly mostOpen: number }
  /** Recorded checksums as they were first seen, by the key of the blob; a check adds to it. */
  readonly recorded: Map<string, string>
}

/** One promise. Says what it finds broken, each in a sentence that names the row or the file; nothing where it holds. */
export interface Check {
  readonly name: string
  readonly promise: string
  look(scene: Scene): Promise<string[]>
}

/** The two types of the host, by the names of their tables. */
export const TYPES = Object.freeze({
  widgets: { registry: 'widget_registry', key: 'widget_id' },
  gadgets: { registry: 'gadget_registry', key: 'gadget_id' },
})
export const TYPE_NAMES = ['widgets', 'gadgets'] as const

/** As the documentation of the registry's columns has them. */
export const SYNCED = 2
export const VERIFIED = 2
