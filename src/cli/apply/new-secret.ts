// Steps that give a service token a secret: when it is made, and when an interrupted run has lost the one that it had.
import { postOnce } from '../token/once.ts'
import { pathOf } from '../token/own.ts'
import type { Token, WithSecret } from '../token/view.ts'
import type { Tools } from './plan.ts'
import { tokenFile } from './secrets.ts'
import { changesOf, type Step } from './step.ts'
import type { Fields, WantedToken } from './wanted.ts'

type Identity = { readonly name: string; readonly subject: string }

export const secretOf = ({ name, subject }: Identity): string => tokenFile(subject, name)
export const about = ({ name, subject }: Identity) =>
  ({ kind: 'token', name, subject, secret: null }) as const

/** @param stated what of it can be compared later */
export function created(wanted: WantedToken, stated: Fields, tools: Tools): Step {
  const body = { ...wanted, type: 'service' }
  const make = () => postOnce<WithSecret>(tools, '/api/v1/tokens', body, {})
  return {
    ...about(wanted),
    action: 'create',
    id: null,
    changes: changesOf({}, stated),
    secret: secretOf(wanted),
    run: async () => {
      const { id } = await tools.secrets!.keep(secretOf(wanted), make, ({ token }) => token)
      return { id }
    },
  }
}

/** Whose secret an interrupted run may have lost, or may never have made: so the present one goes on for a day. */
export function newSecret(present: Token, tools: Tools): Step {
  const make = () => postOnce<WithSecret>(tools, pathOf(present.id, '/rotate'), { gracePeriod: '24h' }, {})
  return {
    ...about(present),
    action: 'change',
    id: present.id,
    changes: [{ field: 'secret', from: 'lost by an interrupted run', to: 'another' }],
    secret: secretOf(present),
    run: async () => {
      await tools.secrets!.keep(secretOf(present), make, ({ token }) => token)
      return { id: present.id }
    },
  }
}
