import { Agent, FormData, fetch, type RequestInit } from 'undici'
import type { Upload } from '../../fixtures/widget-app/upload-table.ts'
import type { BulkRequest, BulkRun, Health } from '../../lib/index.ts'

export type UploadType = 'widgets' | 'gadgets'

/** What people and programs do with a site of widget-app, over HTTP. */
export class SiteClient {
  readonly #agent = new Agent({ connections: 8 })
  readonly #adminToken: string

  constructor(adminToken: string) {
    this.#adminToken = adminToken
  }

  /** A new row with this file. */
  async upload(siteUrl: string, type: UploadType, name: string, bytes: Uint8Array | string): Promise<Stored> {
    return this.#stored(await this.#request(`${siteUrl}/${type}`, { method: 'POST', body: formOf(name, bytes) }))
  }

  /** Another file for the row. */
  async replace(
    siteUrl: string,
    type: UploadType,
    id: string,
    name: string,
    bytes: Uint8Array | string,
  ): Promise<Stored> {
    const request = { method: 'PUT', body: formOf(name, bytes) }
    return this.#stored(await this.#request(`${siteUrl}/${type}/${id}/file`, request))
  }

  async remove(siteUrl: string, type: UploadType, id: string): Promise<void> {
    await this.#request(`${siteUrl}/${type}/${id}`, { method: 'DELETE' })
  }

  async health(siteUrl: string): Promise<Health> {
    return JSON.parse(await this.#request(`${siteUrl}/admin/health`, this.#asAdmin('GET'))) as Health
  }

  async startBulk(siteUrl: string, request: BulkRequest): Promise<BulkRun> {
    const options = this.#asAdmin('POST')
    const headers = { ...options.headers, 'content-type': 'application/json' }
    const answer = await this.#request(`${siteUrl}/admin/bulk`, { ...options, headers, body: JSON.stringify(request) })
    return JSON.parse(answer) as BulkRun
  }

  async bulkRun(siteUrl: string, id: string): Promise<BulkRun> {
    return JSON.parse(await this.#request(`${siteUrl}/admin/bulk/${id}`, this.#asAdmin('GET'))) as BulkRun
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  #asAdmin(method: string): RequestInit & { headers: Record<string, string> } {
    return { method, headers: { authorization: `Bearer ${this.#adminToken}` } }
  }

  #stored(answer: string): Stored {
    const { id, file_path: key } = JSON.parse(answer) as Upload
    if (key === null) throw new Error(`Row ${id} was stored without a file`)
    return { id, key }
  }

  async #request(url: string, request: RequestInit): Promise<string> {
    const response = await fetch(url, { ...request, dispatcher: this.#agent })
    const text = await response.text()
    if (!response.ok) throw new Error(`${request.method} ${url} was answered with ${response.status}: ${text}`)
    return text
  }
}

/** The row that a site made or changed, and the key of its file. */
export interface Stored {
  readonly id: string
  readonly key: string
}

function formOf(name: string, bytes: Uint8Array | string): FormData {
  const form = new FormData()
  form.append('file', new Blob([typeof bytes === 'string' ? bytes : new Uint8Array(bytes)]), name)
  return form
}
