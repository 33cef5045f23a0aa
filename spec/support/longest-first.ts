import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes longest, the longest first: begun last, it would go on alone when all else has ended. */
const LONG = ['/spec/sim/', '/spec/journey/', '/spec/generate/', '/spec/cli/', '/spec/migrations/']

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const position = LONG.findIndex((folder) => moduleId.includes(folder))
      return position === -1 ? LONG.length : position
    }
    const sorted = await super.sort(files)
    return sorted.toSorted((left, right) => rank(left) - rank(right))
  }
}
