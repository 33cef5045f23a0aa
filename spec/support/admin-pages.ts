import type { Replicable } from '../../lib/blob/replicable.ts'
import { addRegistered, type RegistryColumns } from './fixture-rows.ts'
import { createGraphqlSites, type GraphqlSites, type Role } from './graphql-sites.ts'
import type { WatchedSitesOptions } from './watched-sites.ts'

export interface Seen {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export interface AdminSites extends GraphqlSites {
  /** A page as somebody sees it, by its path below `/admin/geo`; at the primary unless told otherwise. */
  see(path: string, options?: SeeOptions): Promise<Seen>
  /** A form as a page of the same site sends it. */
  send(path: string, fields: Fields, options?: SeeOptions): Promise<Seen>
  /** A row of the host and its registry row. */
  add(type: Replicable, columns?: RegistryColumns): Promise<{ recordId: string; registryId: string }>
}

type Fields = Record<string, string> | readonly (readonly [string, string])[]

export interface SeeOptions {
  readonly as?: Role
  readonly at?: 'rome' | 'paris'
  readonly headers?: Record<string, string>
}

export async function createAdminSites(options: WatchedSitesOptions = {}): Promise<AdminSites> {
  const sites = await createGraphqlSites(options)
  const ask = async (path: string, { as = 'admin', at = 'rome', headers = {} }: SeeOptions, init: RequestInit) => {
    const base = at === 'rome' ? sites.url : sites.parisUrl
    const own = { 'x-role': as, origin: new URL(base).origin }
    const answer = await fetch(`${base}admin/geo${path}`, {
      redirect: 'manual',
      ...init,
      headers: { ...own, ...(init.headers as Record<string, string>), ...headers },
    })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }
  return {
    ...sites,
    see: (path, given = {}) => ask(path, given, {}),
    send: (path, fields, given = {}) =>
      ask(path, given, { method: 'POST', body: new URLSearchParams(fields as Record<string, string>) }),
    add: (type, columns) => addRegistered(sites.paris.databases, type, columns),
  }
}

/** What a reader sees of a page: its text without the markup. */
export function plain(html: string): string {
  const text = html.replaceAll(/<(script|style|head)[\s\S]*?<\/\1>/g, ' ').replaceAll(/<[^>]*>/g, ' ')
  return text
    .replaceAll('&#39;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replaceAll(/\s+/g, ' ')
}
