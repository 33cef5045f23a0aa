import type { SafeHtml } from '@remix-run/html-template'
import type { Request } from 'express'
import type { Asker } from '../details/details.ts'
import type { Format } from './format.ts'
import type { Links } from './links.ts'

export type Area = 'sites' | 'replication' | 'failover' | 'audit'

/** What a page knows of who looks at it. */
export interface Visit {
  readonly request: Request
  readonly links: Links
  readonly format: Format
  readonly asker: Asker
  readonly nowMs: number
  /** Whether changes are offered: the person may `admin_geo`. */
  readonly mayChange: boolean
}

/** A part of a page that is told anew when it has changed. Its id is one of its own on the page. */
export interface Region {
  readonly id: string
  readonly html: SafeHtml
}

/** What a page shows. */
export interface Page {
  readonly title: string
  readonly area: Area
  /** Default 200. */
  readonly status?: number
  readonly regions: readonly Region[]
  /** The query under which the page stays live; null where nothing of it moves. */
  readonly live: string | null
}

/** Makes a page anew; called again and again while somebody looks at it. */
export type PageMaker = (visit: Visit) => Promise<Page>
