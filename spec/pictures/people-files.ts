import { seededNumbers } from '../support/seeded-file.ts'

const NAMES = [
  'Invoice %.pdf',
  'Quarterly report %.xlsx',
  'IMG_%.jpg',
  'Contract %, signed.pdf',
  'Floor plan %.dwg',
  'Minutes of meeting %.docx',
  'Product photo %.png',
  'Price list %.csv',
  'Presentation %, final.pptx',
  'Interview %.mp3',
]
const LEAST_BYTES = 2000
const MORE_BYTES = 8000

export interface PeoplesFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Files as people put them in, small and the same each time. */
export function peoplesFiles(count: number, seed: number): PeoplesFile[] {
  return seededNumbers(seed, count, MORE_BYTES).map((more, at) => ({
    name: (NAMES[at % NAMES.length] ?? '%').replace('%', String(1001 + at)),
    bytes: Buffer.alloc(LEAST_BYTES + more, `${seed}/${at} `),
  }))
}
