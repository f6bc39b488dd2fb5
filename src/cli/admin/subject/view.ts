// A subject as the commands show it, and the one call that changes it.
import type { Output } from '../../output.ts'
import { segment } from '../../path.ts'
import { fields, instant } from '../../people.ts'
import type { Remote } from '../../remote.ts'

/** As the API answers. */
export type Subject = {
  readonly id: string
  readonly disabled: boolean
  readonly disabledAt: string | null
  readonly scopeCap: readonly string[] | null
}

export const pathOf = (id: string): string => `/api/v1/subjects/${segment(id)}`

export const showSubject = (output: Output, subject: Subject): void =>
  output.show({
    json: { subject },
    quiet: [subject.id],
    people: () =>
      fields([
        ['subject', subject.id],
        ['disabled', subject.disabled ? `since ${instant(subject.disabledAt, '-')}` : 'no'],
        ['scope cap', subject.scopeCap === null ? 'none' : subject.scopeCap.join(' ') || 'nothing at all'],
      ]),
  })

export async function changeSubject(
  { client, output }: Remote,
  id: string,
  changes: { readonly disabled: boolean } | { readonly scopeCap: readonly string[] | null },
): Promise<void> {
  const { body } = await client.call<Subject>('PATCH', pathOf(id), { body: changes })
  showSubject(output, body)
}
