/** Whose an allocated id range or address is: a container, host-wide. */
export interface Owner {
  readonly lxcpath: string
  readonly name: string
}

export const isOwnedBy = (allocation: Owner, owner: Owner): boolean =>
  allocation.lxcpath === owner.lxcpath && allocation.name === owner.name
