/** Whose an allocated id range or address is: a container, host-wide. */
export interface Owner {
  readonly lxcpath: string
  readonly name: string
}

export const isOwnedBy = (allocation: Owner, owner: Owner): boolean =>
  allocation.lxcpath === owner.lxcpath && allocation.name === owner.name

/** The same for many owners and many allocations. */
export function isOwnedByAny(owners: readonly Owner[]): (allocation: Owner) => boolean {
  const known = new Set(owners.map(keyOf))
  return (allocation) => known.has(keyOf(allocation))
}

// No path holds a NUL.
const keyOf = ({ lxcpath, name }: Owner): string => `${lxcpath}\0${name}`
