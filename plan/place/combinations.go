package place

import "iter"

// Combinations gives every choice of k, in lexical order. The slice is the same one each time.
func Combinations[T any](from []T, k int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		if k < 0 || k > len(from) {
			return
		}
		at, chosen := make([]int, k), make([]T, k)
		for i := range at {
			at[i] = i
		}
		for {
			for i, j := range at {
				chosen[i] = from[j]
			}
			if !yield(chosen) {
				return
			}
			i := k - 1
			for i >= 0 && at[i] == len(from)-k+i {
				i--
			}
			if i < 0 {
				return
			}
			at[i]++
			for j := i + 1; j < k; j++ {
				at[j] = at[j-1] + 1
			}
		}
	}
}
