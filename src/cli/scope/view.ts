// A scope as the commands show it: with its group, and members that are always there.
import type { Catalog } from '../catalog/view.ts'

export type Scope = ReturnType<typeof scopesOf>[number]

export const scopesOf = ({ scopeGroups }: Catalog) =>
  scopeGroups.flatMap(({ title: group, scopes }) =>
    scopes.map(({ name, title, description = null, service, risk, implies = [], maxLifetimeDays = null }) => {
      return { name, title, description, service, group, risk, implies, maxLifetimeDays }
    }),
  )
