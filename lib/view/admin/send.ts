import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Request, Response } from 'express'

const compressions = {
  br: (body: Buffer) =>
    promisify(brotliCompress)(body, { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }),
  gzip: (body: Buffer) => promisify(gzip)(body, { level: constants.Z_BEST_COMPRESSION }),
} as const
const ENCODINGS = ['br', 'gzip'] as const
// As fast as gzip, and smaller.
const BROTLI_QUALITY = 4
const WORTH_IT_BYTES = 1024

/** Sends a body as small as the browser takes it, whatever the host does; the work is done in Node's threads. */
export async function send(request: Request, response: Response, type: string, body: Buffer): Promise<void> {
  response.type(type).vary('Accept-Encoding')
  // Asked one by one: of several that a browser likes as much, its first would be taken, which is gzip.
  const encoding = body.length < WORTH_IT_BYTES ? undefined : ENCODINGS.find((each) => request.acceptsEncodings(each))
  if (encoding) response.set('Content-Encoding', encoding).send(await compressions[encoding](body))
  else response.send(body)
}
